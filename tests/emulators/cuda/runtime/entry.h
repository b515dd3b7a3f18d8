// How every function of the runtime begins and ends.
#pragma once

#include <memory>

#include "core/violations.h"
#include "cuda/state/state.h"

namespace emulated {

// What the runtime remembers for a thread.
struct RuntimeThread {
    static RuntimeThread &here();

    // The device that was set, for a thread without a context.
    int device = 0;
    cudaError_t last_error = cudaSuccess;
};

class Entry {
public:
    explicit Entry(const char *function) : call_(function) {
        if (const Outcome refused = call_.refused(); !refused.ok()) refusal_ = code_of(refused);
    }

    const Call &call() const { return call_; }
    const char *function() const { return call_.function(); }

    // Whether the call ends here, with `refusal()`.
    bool ends() const { return refusal_ != cudaSuccess; }
    // With a context current, made so if need be. A broken one gives its failure.
    bool ends_without_context();
    cudaError_t refusal() { return give(refusal_); }
    const std::shared_ptr<Context> &context() const { return Thread::here().context; }

    // Ends the call: notes a failure for cudaGetLastError.
    cudaError_t give(cudaError_t code) {
        if (code != cudaSuccess) RuntimeThread::here().last_error = code;
        return code;
    }
    cudaError_t give(const Outcome &outcome) { return give(code_of(outcome)); }
    // The same, with a report.
    cudaError_t violate(const char *rule, const std::string &sentence, cudaError_t code) {
        Violations::all().report(rule, std::string(function()) + ": " + sentence);
        return give(code);
    }

private:
    Call call_;
    cudaError_t refusal_ = cudaSuccess;
};

} // namespace emulated
