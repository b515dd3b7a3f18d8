#include "entry.h"

namespace emulated {

RuntimeThread &RuntimeThread::here() {
    static thread_local RuntimeThread thread;
    return thread;
}

bool Entry::ends_without_context() {
    if (ends()) return true;
    auto &current = Thread::here().context;
    if (current == nullptr) current = Cuda::here().primary(RuntimeThread::here().device);
    if (current == nullptr) {
        refusal_ = cudaErrorNoDevice;
    } else if (const auto broken = current->broken()) {
        refusal_ = code_of(*broken);
    }
    return ends();
}

} // namespace emulated
