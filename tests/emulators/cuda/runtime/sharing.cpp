// Memory and events of other processes.
#include <cstring>

#include "core/exports.h"
#include "core/orders.h"
#include "entry.h"

using emulated::Entry;
using emulated::ExportKey;
using emulated::Exports;
using emulated::Fault;
using emulated::Memory;
using emulated::Outcome;

namespace {

bool is_refused() { return emulated::Orders::all().refuses("ipc"); }

} // namespace

extern "C" {

EMULATED_API cudaError_t cudaIpcGetMemHandle(cudaIpcMemHandle_t *handle, void *address) {
    Entry entry("cudaIpcGetMemHandle");
    if (entry.ends_without_context()) return entry.refusal();
    if (is_refused()) return entry.give(cudaErrorNotSupported);
    if (handle == nullptr) return entry.give(cudaErrorInvalidValue);
    const auto allocation = Memory::all().find(reinterpret_cast<std::uintptr_t>(address));
    if (allocation == nullptr) {
        return entry.violate("export_of_foreign_memory", "the address is in no live allocation", cudaErrorInvalidValue);
    }
    if (allocation->address != reinterpret_cast<std::uintptr_t>(address)) {
        // Legal, but importers get the start, whatever the address; so nobody should mean it.
        emulated::Violations::all().report("export_inside_allocation",
                                           "cudaIpcGetMemHandle: the address is not where its allocation begins");
    }
    ExportKey key;
    const Outcome added = Exports::all().add(allocation, true, &key);
    if (!added.ok()) return entry.give(added);
    std::memset(handle, 0, sizeof *handle);
    std::memcpy(handle->reserved, key.bytes().data(), key.bytes().size());
    if (entry.call().ordered().garble) handle->reserved[0] ^= 0x5A;
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaIpcOpenMemHandle(void **address, cudaIpcMemHandle_t handle, unsigned int flags) {
    Entry entry("cudaIpcOpenMemHandle");
    if (entry.ends_without_context()) return entry.refusal();
    if (is_refused()) return entry.give(cudaErrorNotSupported);
    ExportKey key;
    if (address == nullptr || flags != cudaIpcMemLazyEnablePeerAccess) return entry.give(cudaErrorInvalidValue);
    if (!ExportKey::read(reinterpret_cast<const std::uint8_t *>(handle.reserved), &key)) {
        return entry.violate("foreign_handle", "the handle is none of this library", cudaErrorInvalidValue);
    }
    if (key.is_of_this_process()) {
        return entry.violate("import_in_exporting_process", "a handle is for other processes only",
                             cudaErrorDeviceUninitialized);
    }
    std::uintptr_t start = 0;
    const Outcome opened = Exports::all().import(key, entry.context(), &start);
    if (!opened.ok()) return entry.give(opened);
    *address = reinterpret_cast<void *>(start);
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaIpcCloseMemHandle(void *address) {
    Entry entry("cudaIpcCloseMemHandle");
    if (entry.ends_without_context()) return entry.refusal();
    return entry.give(Exports::all().close(entry.function(), reinterpret_cast<std::uintptr_t>(address)));
}

// Events are not shared between emulated processes: the device attribute says so, too.

EMULATED_API cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t *, cudaEvent_t) {
    Entry entry("cudaIpcGetEventHandle");
    if (entry.ends_without_context()) return entry.refusal();
    return entry.give(cudaErrorNotSupported);
}

EMULATED_API cudaError_t cudaIpcOpenEventHandle(cudaEvent_t *, cudaIpcEventHandle_t) {
    Entry entry("cudaIpcOpenEventHandle");
    if (entry.ends_without_context()) return entry.refusal();
    return entry.give(cudaErrorNotSupported);
}

} // extern "C"
