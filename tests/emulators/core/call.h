// One call of a vendor's function.
#pragma once

#include "orders.h"
#include "outcome.h"

namespace emulated {

// Made first in each function of a facade: counts the call for the orders, and sees whether it is made
// from inside a host callback, where none is allowed (violation `call_in_callback`).
//
//     Call call("cudaMalloc");
//     if (auto refused = call.refused(); !refused.ok()) return code_of(refused);
class EMULATED_API Call {
public:
    explicit Call(const char *function, bool allowed_in_callback = false);

    const char *function() const { return function_; }
    const Ordered &ordered() const { return ordered_; }
    // `ordered` or `not_permitted` if the call has to end here.
    Outcome refused() const;

    // Takes over what is ordered for another call, which becomes one task with this one.
    void join(const Call &other);

    // While it lives the thread runs a host callback.
    class EMULATED_API InCallback {
    public:
        InCallback();
        ~InCallback();
        InCallback(const InCallback &) = delete;
        InCallback &operator=(const InCallback &) = delete;
    };

private:
    const char *function_;
    Ordered ordered_;
    bool misplaced_;
};

} // namespace emulated
