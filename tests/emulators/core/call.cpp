#include "call.h"

#include <string>

#include "thread.h"
#include "violations.h"

namespace emulated {

namespace {
thread_local int callbacks = 0;
}

Call::Call(const char *function, bool allowed_in_callback)
    : function_(function), ordered_(Orders::all().take(function, Thread::here().device())),
      misplaced_(callbacks > 0 && !allowed_in_callback) {
    if (misplaced_) {
        Violations::all().report("call_in_callback", std::string(function) + " from inside a host callback");
    }
}

Outcome Call::refused() const {
    if (misplaced_) return Outcome::failed(Fault::not_permitted, "called from inside a host callback");
    if (ordered_.fail) return Outcome::by_order(*ordered_.fail);
    return Outcome::success();
}

void Call::join(const Call &other) {
    ordered_.delay += other.ordered_.delay;
    ordered_.garble = ordered_.garble || other.ordered_.garble;
    if (!ordered_.fail_later) ordered_.fail_later = other.ordered_.fail_later;
}

Call::InCallback::InCallback() { callbacks += 1; }
Call::InCallback::~InCallback() { callbacks -= 1; }

} // namespace emulated
