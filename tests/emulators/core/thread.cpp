#include "thread.h"

namespace emulated {

Thread &Thread::here() {
    static thread_local Thread thread;
    return thread;
}

} // namespace emulated
