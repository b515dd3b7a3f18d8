// Memory: allocating, freeing, registering, and questions about addresses.
#include "ascend/state/library.h"

#include "core/memory.h"
#include "core/orders.h"

using namespace emulated;

namespace {

constexpr std::size_t ALIGNMENT = 64;
// A2 and A3 pad to 32n + 32 bytes; the other form to 32n.
constexpr std::size_t PADDING = 32;
constexpr std::uint32_t PAGE = 4096;
constexpr std::uint32_t POLICIES = 8;
constexpr std::uint32_t POLICY_BITS = 0x0100 | 0x1000 | 0x100000;
constexpr std::uint32_t REGISTRATION_FLAGS = ACL_HOST_REG_MAPPED | 0x4 | 0x8 | ACL_HOST_REG_PINNED;

std::uintptr_t number(const void *address) { return reinterpret_cast<std::uintptr_t>(address); }

aclError allocate(AscendCall &call, void **address, std::size_t bytes, aclrtMemMallocPolicy policy,
                  std::size_t padding) {
    if (call.ends()) return call.end();
    if (address == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    if (bytes == 0) return call.end(Fault::invalid_argument, "zero bytes; allowed are one or more");
    if ((static_cast<std::uint32_t>(policy) & ~POLICY_BITS) >= POLICIES) {
        return call.end_with(ACL_ERROR_RT_INVALID_MALLOC_TYPE, "no such policy");
    }
    std::uintptr_t start = 0;
    const auto &context = call.context();
    const Outcome made =
        Memory::all().allocate(*context->device(), context->id(), bytes, ALIGNMENT, padding, &start);
    if (made.ok()) *address = reinterpret_cast<void *>(start);
    return call.end(made);
}

} // namespace

extern "C" {

EMULATED_API aclError aclrtMalloc(void **address, size_t bytes, aclrtMemMallocPolicy policy) {
    AscendCall call("aclrtMalloc", Needs::context);
    return allocate(call, address, bytes, policy, PADDING);
}

EMULATED_API aclError aclrtMallocAlign32(void **address, size_t bytes, aclrtMemMallocPolicy policy) {
    AscendCall call("aclrtMallocAlign32", Needs::context);
    return allocate(call, address, bytes, policy, 0);
}

// Waits for nobody: who uses the memory still is the caller's business, and is reported.
EMULATED_API aclError aclrtFree(void *address) {
    AscendCall call("aclrtFree", Needs::context);
    if (call.ends()) return call.end();
    if (address == nullptr) return call.end(Fault::invalid_argument, "the address is null");
    return call.end(Memory::all().free(call.function(), number(address), Place::device));
}

EMULATED_API aclError aclrtMallocHost(void **address, size_t bytes) {
    AscendCall call("aclrtMallocHost", Needs::context);
    if (call.ends()) return call.end();
    if (address == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    if (bytes == 0) return call.end(Fault::invalid_argument, "zero bytes; allowed are one or more");
    std::uintptr_t start = 0;
    const Outcome made = Memory::all().allocate_pinned(call.context()->device()->ordinal(), bytes, &start);
    if (made.ok()) *address = reinterpret_cast<void *>(start);
    return call.end(made);
}

EMULATED_API aclError aclrtFreeHost(void *address) {
    AscendCall call("aclrtFreeHost", Needs::context);
    if (call.ends()) return call.end();
    if (address == nullptr) return call.end(Fault::invalid_argument, "the address is null");
    return call.end(Memory::all().free(call.function(), number(address), Place::pinned));
}

EMULATED_API aclError aclrtHostRegisterV2(void *address, uint64_t bytes, uint32_t flags) {
    AscendCall call("aclrtHostRegisterV2", Needs::context);
    if (call.ends()) return call.end();
    if (Orders::all().refuses("host_registration")) return call.end(Fault::unsupported, "refused by an order");
    if (flags == 0 || (flags & ~REGISTRATION_FLAGS) != 0) {
        return call.end(Fault::invalid_argument, "no flag, or one that is not known");
    }
    const int device = call.context()->device()->ordinal();
    return call.end(Memory::all().register_host(call.function(), device, number(address), bytes));
}

EMULATED_API aclError aclrtHostUnregister(void *address) {
    AscendCall call("aclrtHostUnregister", Needs::context);
    if (call.ends()) return call.end();
    return call.end(Memory::all().unregister_host(call.function(), number(address)));
}

EMULATED_API aclError aclrtGetMemInfo(aclrtMemAttr memory, size_t *free_bytes, size_t *total_bytes) {
    AscendCall call("aclrtGetMemInfo", Needs::context);
    if (call.ends()) return call.end();
    if (free_bytes == nullptr || total_bytes == nullptr) {
        return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    }
    const bool is_own = memory == ACL_HBM_MEM || memory == ACL_HBM_MEM_HUGE || memory == ACL_HBM_MEM_NORMAL;
    *free_bytes = is_own ? call.context()->device()->free_memory() : 0;
    *total_bytes = is_own ? call.context()->device()->total_memory() : 0;
    return call.end();
}

EMULATED_API aclError aclrtPointerGetAttributes(const void *address, aclrtPtrAttributes *attributes) {
    AscendCall call("aclrtPointerGetAttributes", Needs::context);
    if (call.ends()) return call.end();
    if (address == nullptr || attributes == nullptr) {
        return call.end_with(ACL_ERROR_INVALID_PARAM, "the address is null, or the answer has no place");
    }
    *attributes = {};
    attributes->location.eplb_type = ACL_MEM_LOCATION_TYPE_UNREGISTERED;
    attributes->pageSize = PAGE;
    const auto allocation = Memory::all().find(number(address));
    if (allocation == nullptr) return call.end();
    if (allocation->place == Place::device || allocation->place == Place::imported) {
        attributes->location.eplb_type = ACL_MEM_LOCATION_TYPE_DEVICE;
        attributes->location.id = static_cast<uint32_t>(allocation->device);
    } else {
        attributes->location.eplb_type = ACL_MEM_LOCATION_TYPE_HOST;
    }
    return call.end();
}

EMULATED_API aclError aclrtMemGetAddressRange(void *address, void **start, size_t *bytes) {
    AscendCall call("aclrtMemGetAddressRange", Needs::context);
    if (call.ends()) return call.end();
    const auto allocation = Memory::all().find(number(address));
    if (allocation == nullptr || allocation->place == Place::pinned || allocation->place == Place::registered) {
        return call.end(Fault::invalid_address, "the address is in no allocation of a device");
    }
    if (start != nullptr) *start = reinterpret_cast<void *>(allocation->address);
    if (bytes != nullptr) *bytes = allocation->bytes;
    return call.end();
}

} // extern "C"
