// What the library remembers for the calling thread.
#pragma once

#include <memory>

#include "context.h"

namespace emulated {

class EMULATED_API Thread {
public:
    // The calling thread's.
    static Thread &here();

    // The current context; null if the thread has none.
    std::shared_ptr<Context> context;

    // The device of the current context, -1 without one.
    int device() const { return context == nullptr ? -1 : context->device()->ordinal(); }
};

} // namespace emulated
