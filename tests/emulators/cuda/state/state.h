// What the emulated runtime, driver and NCCL share: primary contexts, null streams, status codes.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "core/call.h"
#include "core/machine.h"
#include "core/memory.h"
#include "core/outcome.h"
#include "core/stream.h"
#include "core/thread.h"
#include "eplb_cuda_runtime.h"

namespace emulated {

// The one place where outcomes become codes of CUDA.
EMULATED_API cudaError_t code_of(const Outcome &outcome);

// EPLB_EMULATOR_CUDA_VERSION, as 1000 x major + 10 x minor.
EMULATED_API int cuda_version();

class EMULATED_API Cuda {
public:
    static Cuda &here();

    // The primary context of a device, made at first use; null if there is no such device.
    std::shared_ptr<Context> primary(int device);
    bool is_primary_active(int device);
    // The handle by which programs know a context.
    void *handle_of(const std::shared_ptr<Context> &context);

    // Whether the driver was started, by cuInit or by the runtime.
    bool is_started();
    void start();

    // What a stream's handle means, the null stream's included; null and a report if it means nothing.
    std::shared_ptr<Stream> stream(const char *function, cudaStream_t handle,
                                   const std::shared_ptr<Context> &context);
    static bool is_null_stream(cudaStream_t handle);
    // Orders a stream with the null stream of its context, before work is queued on it: both wait for
    // each other unless the stream was made not to.
    void order_with_null_stream(const std::shared_ptr<Stream> &stream);

private:
    std::shared_ptr<Stream> null_stream(const std::shared_ptr<Context> &context);
    std::shared_ptr<Stream> known_null_stream(const std::shared_ptr<Context> &context);

    std::mutex mutex_;
    bool started_ = false;
    std::map<int, std::shared_ptr<Context>> primaries_;
    std::map<std::uint64_t, void *> handles_;
    // By context.
    std::map<std::uint64_t, std::shared_ptr<Stream>> null_streams_;
};

} // namespace emulated
