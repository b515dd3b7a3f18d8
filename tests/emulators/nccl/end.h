// What a handle of NCCL stands for.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/communicator.h"
#include "core/outcome.h"
#include "cuda/state/state.h"
#include "eplb_nccl.h"

namespace emulated {

// The one place where outcomes become codes of NCCL.
ncclResult_t nccl_code(const Outcome &outcome);

// Keeps a sentence for ncclGetLastError, and gives the code.
ncclResult_t complain(ncclResult_t code, const std::string &sentence);
ncclResult_t complain(const Outcome &outcome);
const char *last_complaint();

// One rank's end, as the library's user sees it.
class End : public std::enable_shared_from_this<End> {
public:
    End(std::shared_ptr<Communicator> communicator, bool blocks);

    const std::shared_ptr<Communicator> &communicator() const { return communicator_; }
    bool blocks() const { return blocks_; }
    int device() const { return communicator_->context()->device()->ordinal(); }

    // Success, in progress, or what went wrong.
    ncclResult_t standing();
    // A call that needs the communicator to itself: its code if that cannot be, with a report.
    ncclResult_t check_ready(const char *function);

    // Runs `work` at once if the communicator blocks; else on a thread, a moment later, while the
    // communicator is in progress.
    ncclResult_t launch(std::function<Outcome()> work);
    void wait_launched();

    // Memory that was registered with it, by handle.
    void *add_registration();
    bool remove_registration(void *handle);

    // Its place among the communicators that are counted as alive.
    void *counted = nullptr;
    std::atomic<bool> finalizing{false};
    std::atomic<bool> revoked{false};

private:
    const std::shared_ptr<Communicator> communicator_;
    const bool blocks_;
    std::mutex mutex_;
    std::condition_variable changed_;
    int launching_ = 0;
    std::optional<Outcome> failure_;
    std::set<std::uintptr_t> registrations_;
    std::uintptr_t last_registration_ = 0;
};

// All ends of this process.
Registry<End> &ends();
// Null, and a report, if the handle means none.
std::shared_ptr<End> end_of(const char *function, ncclComm_t handle);

// The ranks of each communicator that are in this process. The last one that is released frees what all
// of them hold, on all of their devices; and freeing waits for all work of a device.
class Siblings {
public:
    static Siblings &all();

    void join(const CommunicatorName &name, const std::shared_ptr<Context> &context);
    // One of them goes; the contexts of all if it was the last one, else none.
    std::vector<std::shared_ptr<Context>> leave(const CommunicatorName &name);

private:
    struct Family {
        std::vector<std::shared_ptr<Context>> contexts;
        size_t gone = 0;
    };

    std::mutex mutex_;
    std::map<std::array<std::uint8_t, 24>, Family> families_;
};

// A device is in use by NCCL calls of one thread at a time: a second one is reported.
class DeviceTurn {
public:
    DeviceTurn(const char *function, int device);
    ~DeviceTurn();
    DeviceTurn(const DeviceTurn &) = delete;
    DeviceTurn &operator=(const DeviceTurn &) = delete;

private:
    const int device_;
};

} // namespace emulated
