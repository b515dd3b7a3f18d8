// Memory that NCCL allocates or is told of.
#include "core/memory.h"
#include "core/violations.h"
#include "end.h"

using emulated::Call;
using emulated::complain;
using emulated::end_of;
using emulated::Memory;
using emulated::Outcome;
using emulated::Place;
using emulated::Thread;

namespace {

// As the vendor's, whose granularity is that of large pages.
constexpr size_t ALIGNMENT = 2 << 20;

ncclResult_t add(const Call &call, ncclComm_t communicator, void *buffer, size_t bytes, void **handle) {
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto end = end_of(call.function(), communicator);
    if (end == nullptr || handle == nullptr) return ncclInvalidArgument;
    if (const ncclResult_t code = end->check_ready(call.function()); code != ncclSuccess) return code;
    emulated::Span span;
    const auto start = reinterpret_cast<std::uintptr_t>(buffer);
    const Outcome found = Memory::all().resolve(call.function(), start, bytes, true, &span);
    if (!found.ok()) return complain(ncclInvalidArgument, found.text);
    *handle = end->add_registration();
    return ncclSuccess;
}

ncclResult_t remove(const Call &call, ncclComm_t communicator, void *handle) {
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto end = end_of(call.function(), communicator);
    if (end == nullptr) return ncclInvalidArgument;
    if (end->remove_registration(handle)) return ncclSuccess;
    emulated::Violations::all().report("foreign_registration",
                                       std::string(call.function()) + ": the handle is of no registration");
    return complain(ncclInvalidArgument, "the handle is of no registration");
}

} // namespace

extern "C" {

EMULATED_API ncclResult_t ncclMemAlloc(void **address, size_t bytes) {
    const Call call("ncclMemAlloc");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto &context = Thread::here().context;
    if (address == nullptr || bytes == 0) return complain(ncclInvalidArgument, "nothing to allocate");
    if (context == nullptr) return complain(ncclUnhandledCudaError, "the thread has no context");
    std::uintptr_t start = 0;
    const Outcome made = Memory::all().allocate(*context->device(), context->id(), bytes, ALIGNMENT, 0, &start);
    if (!made.ok()) return complain(made);
    *address = reinterpret_cast<void *>(start);
    return ncclSuccess;
}

EMULATED_API ncclResult_t ncclMemFree(void *address) {
    const Call call("ncclMemFree");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    return complain(
        Memory::all().free(call.function(), reinterpret_cast<std::uintptr_t>(address), Place::device));
}

EMULATED_API ncclResult_t ncclCommRegister(const ncclComm_t communicator, void *buffer, size_t bytes,
                                           void **handle) {
    return add(Call("ncclCommRegister"), communicator, buffer, bytes, handle);
}

EMULATED_API ncclResult_t ncclCommDeregister(const ncclComm_t communicator, void *handle) {
    return remove(Call("ncclCommDeregister"), communicator, handle);
}

EMULATED_API ncclResult_t ncclCommWindowRegister(ncclComm_t communicator, void *buffer, size_t bytes,
                                                 ncclWindow_t *window, int flags) {
    if (flags != NCCL_WIN_DEFAULT && flags != NCCL_WIN_COLL_SYMMETRIC) {
        return complain(ncclInvalidArgument, "the flags are unknown");
    }
    return add(Call("ncclCommWindowRegister"), communicator, buffer, bytes, reinterpret_cast<void **>(window));
}

EMULATED_API ncclResult_t ncclCommWindowDeregister(ncclComm_t communicator, ncclWindow_t window) {
    return remove(Call("ncclCommWindowDeregister"), communicator, window);
}

} // extern "C"
