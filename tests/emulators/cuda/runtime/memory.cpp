// Allocating, freeing, asking about addresses.
#include "core/memory.h"
#include "entry.h"

using emulated::Entry;
using emulated::Machine;
using emulated::Memory;
using emulated::Outcome;
using emulated::Place;

namespace {

// The manual's least alignment, and no more.
constexpr size_t ALIGNMENT = 256;

std::uintptr_t number(const void *address) { return reinterpret_cast<std::uintptr_t>(address); }

cudaError_t allocate_pinned(Entry &entry, void **address, size_t bytes, unsigned int flags) {
    if (entry.ends_without_context()) return entry.refusal();
    constexpr unsigned int KNOWN = cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined;
    if (address == nullptr || (flags & ~KNOWN) != 0) return entry.give(cudaErrorInvalidValue);
    std::uintptr_t start = 0;
    if (bytes > 0) {
        const Outcome made =
            Memory::all().allocate_pinned(entry.context()->device()->ordinal(), bytes, &start);
        if (!made.ok()) return entry.give(made);
    }
    *address = reinterpret_cast<void *>(start);
    return cudaSuccess;
}

// Freeing waits for the device, as a caller must not rely on: what frees while work is queued is
// reported before.
cudaError_t free(Entry &entry, void *address, Place place) {
    if (entry.ends_without_context()) return entry.refusal();
    if (address == nullptr) return cudaSuccess;
    const Outcome freed = Memory::all().free(entry.function(), number(address), place);
    if (!freed.ok()) return entry.give(freed);
    entry.context()->synchronize();
    if (const auto broken = entry.context()->broken()) return entry.give(*broken);
    return cudaSuccess;
}

} // namespace

extern "C" {

EMULATED_API cudaError_t cudaMalloc(void **address, size_t bytes) {
    Entry entry("cudaMalloc");
    if (entry.ends_without_context()) return entry.refusal();
    if (address == nullptr) return entry.give(cudaErrorInvalidValue);
    *address = nullptr;
    if (bytes == 0) return cudaSuccess;
    std::uintptr_t start = 0;
    const auto &context = entry.context();
    const Outcome made =
        Memory::all().allocate(*context->device(), context->id(), bytes, ALIGNMENT, 0, &start);
    if (!made.ok()) return entry.give(made);
    *address = reinterpret_cast<void *>(start);
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaFree(void *address) {
    Entry entry("cudaFree");
    return free(entry, address, Place::device);
}

EMULATED_API cudaError_t cudaMallocHost(void **address, size_t bytes) {
    Entry entry("cudaMallocHost");
    return allocate_pinned(entry, address, bytes, cudaHostAllocDefault);
}

EMULATED_API cudaError_t cudaHostAlloc(void **address, size_t bytes, unsigned int flags) {
    Entry entry("cudaHostAlloc");
    return allocate_pinned(entry, address, bytes, flags);
}

EMULATED_API cudaError_t cudaFreeHost(void *address) {
    Entry entry("cudaFreeHost");
    return free(entry, address, Place::pinned);
}

EMULATED_API cudaError_t cudaHostRegister(void *address, size_t bytes, unsigned int flags) {
    Entry entry("cudaHostRegister");
    if (entry.ends_without_context()) return entry.refusal();
    if (emulated::Orders::all().refuses("host_registration")) return entry.give(cudaErrorNotSupported);
    constexpr unsigned int KNOWN = cudaHostRegisterPortable | cudaHostRegisterMapped | cudaHostRegisterReadOnly;
    if ((flags & ~KNOWN) != 0) return entry.give(cudaErrorInvalidValue);
    const int device = entry.context()->device()->ordinal();
    return entry.give(Memory::all().register_host(entry.function(), device, number(address), bytes));
}

EMULATED_API cudaError_t cudaHostUnregister(void *address) {
    Entry entry("cudaHostUnregister");
    if (entry.ends_without_context()) return entry.refusal();
    const Outcome ended = Memory::all().unregister_host(entry.function(), number(address));
    return ended.ok() ? cudaSuccess : entry.give(cudaErrorHostMemoryNotRegistered);
}

EMULATED_API cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *address) {
    Entry entry("cudaPointerGetAttributes");
    if (entry.ends_without_context()) return entry.refusal();
    if (attributes == nullptr) return entry.give(cudaErrorInvalidValue);
    const auto allocation = Memory::all().find(number(address));
    auto *plain = const_cast<void *>(address);
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->device = -1;
    attributes->devicePointer = nullptr;
    attributes->hostPointer = nullptr;
    if (emulated::cuda_version() >= 13000) {
        for (auto &reserved : attributes->eplb_reserved) reserved = 0;
    }
    if (allocation == nullptr) return cudaSuccess;
    const bool is_host = allocation->place == Place::pinned || allocation->place == Place::registered;
    attributes->type = is_host ? cudaMemoryTypeHost : cudaMemoryTypeDevice;
    attributes->device = allocation->device;
    attributes->devicePointer = plain;
    attributes->hostPointer = is_host ? plain : nullptr;
    return cudaSuccess;
}

} // extern "C"
