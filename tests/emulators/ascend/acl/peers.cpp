// Memory of other devices and of other processes.
#include <cstring>
#include <unistd.h>

#include "ascend/state/library.h"

#include "core/exports.h"
#include "core/machine.h"
#include "core/memory.h"
#include "core/orders.h"

using namespace emulated;

namespace {

std::uintptr_t number(const void *address) { return reinterpret_cast<std::uintptr_t>(address); }

Outcome key_of(const char *text, ExportKey *key) {
    if (text == nullptr || !ExportKey::read(std::string(text, strnlen(text, ACL_IPC_HANDLE_SIZE)), key)) {
        return Outcome::failed(Fault::not_exported, "the text is no key");
    }
    return Outcome::success();
}

Outcome check_ipc() {
    if (Orders::all().refuses("ipc")) return Outcome::failed(Fault::unsupported, "refused by an order");
    return Outcome::success();
}

} // namespace

extern "C" {

EMULATED_API aclError aclrtDeviceCanAccessPeer(int32_t *can_access, int32_t device, int32_t peer) {
    AscendCall call("aclrtDeviceCanAccessPeer", Needs::library);
    if (call.ends()) return call.end();
    if (can_access == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    auto &machine = Machine::here();
    if (machine.device(device) == nullptr || machine.device(peer) == nullptr) {
        return call.end(Fault::invalid_device, "no such device");
    }
    *can_access = device != peer && !Orders::all().refuses("peer_access") ? 1 : 0;
    return call.end();
}

EMULATED_API aclError aclrtDeviceEnablePeerAccess(int32_t peer, uint32_t flags) {
    AscendCall call("aclrtDeviceEnablePeerAccess", Needs::context);
    if (call.ends()) return call.end();
    const auto &device = call.context()->device();
    if (Machine::here().device(peer) == nullptr || peer == device->ordinal()) {
        return call.end(Fault::invalid_device, "no such other device");
    }
    if (flags != 0) return call.end(Fault::invalid_argument, "flags are 0");
    if (Orders::all().refuses("peer_access")) return call.end(Fault::unsupported, "refused by an order");
    // Enabled already is as good.
    device->enable_peer(peer);
    return call.end();
}

EMULATED_API aclError aclrtDeviceDisablePeerAccess(int32_t peer) {
    AscendCall call("aclrtDeviceDisablePeerAccess", Needs::context);
    return call.ends() ? call.end() : call.end(call.context()->device()->disable_peer(peer));
}

EMULATED_API aclError aclrtIpcMemGetExportKey(void *address, size_t bytes, char *key, size_t room, uint64_t flags) {
    AscendCall call("aclrtIpcMemGetExportKey", Needs::context);
    if (call.ends()) return call.end();
    if (const Outcome refused = check_ipc(); !refused.ok()) return call.end(refused);
    if (key == nullptr || room != ACL_IPC_HANDLE_SIZE) {
        return call.end_with(ACL_ERROR_INVALID_PARAM, "a key takes 65 bytes");
    }
    if (flags > ACL_RT_IPC_MEM_EXPORT_FLAG_DISABLE_PID_VALIDATION) {
        return call.end(Fault::invalid_argument, "a flag is not known");
    }
    Span span;
    const Outcome found = Memory::all().resolve(call.function(), number(address), bytes, true, &span);
    if (!found.ok()) return call.end(found);
    if (span.allocation->address != number(address) || span.allocation->bytes != bytes) {
        call.report("export_inside_allocation", "allocations are exported whole");
        return call.end(Fault::misaligned, "the range is a piece of an allocation");
    }
    ExportKey exported;
    const Outcome added = Exports::all().add(span.allocation, flags != 0, &exported);
    if (!added.ok()) return call.end(added);
    std::memset(key, 0, room);
    const std::string text = exported.text();
    std::memcpy(key, text.data(), text.size());
    return call.end();
}

EMULATED_API aclError aclrtIpcMemSetImportPid(const char *text, int32_t *processes, size_t count) {
    AscendCall call("aclrtIpcMemSetImportPid", Needs::context);
    if (call.ends()) return call.end();
    ExportKey key;
    if (const Outcome read = key_of(text, &key); !read.ok()) return call.end(read);
    if (processes == nullptr || count == 0) return call.end(Fault::invalid_argument, "no processes");
    return call.end(Exports::all().allow(key, std::vector<int>(processes, processes + count)));
}

EMULATED_API aclError aclrtIpcMemImportByKey(void **address, const char *text, uint64_t flags) {
    AscendCall call("aclrtIpcMemImportByKey", Needs::context);
    if (call.ends()) return call.end();
    if (const Outcome refused = check_ipc(); !refused.ok()) return call.end(refused);
    if (address == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    if (flags > ACL_RT_IPC_MEM_IMPORT_FLAG_ENABLE_PEER_ACCESS) {
        return call.end(Fault::invalid_argument, "a flag is not known");
    }
    ExportKey key;
    if (const Outcome read = key_of(text, &key); !read.ok()) return call.end(read);
    if (key.is_of_this_process()) {
        call.report("import_in_exporting_process", "the process has the memory already");
    }
    std::uintptr_t start = 0;
    const Outcome imported = Exports::all().import(key, call.context(), &start);
    if (!imported.ok()) return call.end(imported);
    const auto allocation = Memory::all().find(start);
    if (flags != 0 && allocation != nullptr) call.context()->device()->enable_peer(allocation->device);
    *address = reinterpret_cast<void *>(start);
    return call.end();
}

EMULATED_API aclError aclrtIpcMemClose(const char *text) {
    AscendCall call("aclrtIpcMemClose", Needs::context);
    if (call.ends()) return call.end();
    ExportKey key;
    if (const Outcome read = key_of(text, &key); !read.ok()) return call.end(read);
    if (!key.is_of_this_process()) {
        return call.end(Exports::all().close(call.function(), Exports::all().address_of(key)));
    }
    std::size_t imports = 0;
    const Outcome withdrawn = Exports::all().withdraw(key, &imports);
    if (imports > 0) {
        call.report("closed_before_importers",
                    std::to_string(imports) + " other processes have the memory open; importers close first");
    }
    return call.end(withdrawn);
}

EMULATED_API aclError aclrtDeviceGetBareTgid(int32_t *process) {
    AscendCall call("aclrtDeviceGetBareTgid", Needs::library);
    if (call.ends()) return call.end();
    if (process == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    *process = static_cast<int32_t>(getpid());
    return call.end();
}

} // extern "C"
