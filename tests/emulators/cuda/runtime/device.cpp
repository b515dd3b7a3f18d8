// Versions, devices, errors.
#include <cstdio>

#include "core/orders.h"
#include "entry.h"

using emulated::Cuda;
using emulated::Entry;
using emulated::Machine;
using emulated::Orders;
using emulated::RuntimeThread;
using emulated::Thread;

namespace {

// No real device has these, so that whoever prints them sees that this one is emulated.
constexpr int COMPUTE_CAPABILITY = 0;
constexpr int PCI_DOMAIN = 0xEEEE;

constexpr int LEAST_PRIORITY = 0;
constexpr int GREATEST_PRIORITY = -5;

bool is_device(int device) { return Machine::here().device(device) != nullptr; }

} // namespace

extern "C" {

EMULATED_API cudaError_t cudaRuntimeGetVersion(int *version) {
    Entry entry("cudaRuntimeGetVersion");
    if (entry.ends()) return entry.refusal();
    if (version == nullptr) return entry.give(cudaErrorInvalidValue);
    *version = emulated::cuda_version();
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaDriverGetVersion(int *version) {
    Entry entry("cudaDriverGetVersion");
    if (entry.ends()) return entry.refusal();
    if (version == nullptr) return entry.give(cudaErrorInvalidValue);
    *version = emulated::cuda_version();
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaGetDeviceCount(int *count) {
    Entry entry("cudaGetDeviceCount");
    if (entry.ends()) return entry.refusal();
    if (count == nullptr) return entry.give(cudaErrorInvalidValue);
    // The count is left as it was where there is none.
    if (Machine::here().devices() == 0) return entry.give(cudaErrorNoDevice);
    *count = Machine::here().devices();
    if (entry.call().ordered().garble) *count = -77;
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaSetDevice(int device) {
    Entry entry("cudaSetDevice");
    if (entry.ends()) return entry.refusal();
    const auto context = Cuda::here().primary(device);
    if (context == nullptr) {
        return entry.give(Machine::here().devices() == 0 ? cudaErrorNoDevice : cudaErrorInvalidDevice);
    }
    Thread::here().context = context;
    RuntimeThread::here().device = device;
    if (const auto broken = context->broken()) return entry.give(*broken);
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaGetDevice(int *device) {
    Entry entry("cudaGetDevice");
    if (entry.ends()) return entry.refusal();
    if (device == nullptr) return entry.give(cudaErrorInvalidValue);
    if (Machine::here().devices() == 0) return entry.give(cudaErrorNoDevice);
    const int current = Thread::here().device();
    *device = current < 0 ? RuntimeThread::here().device : current;
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaDeviceSynchronize(void) {
    Entry entry("cudaDeviceSynchronize");
    if (entry.ends_without_context()) return entry.refusal();
    entry.context()->synchronize();
    if (const auto broken = entry.context()->broken()) return entry.give(*broken);
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    Entry entry("cudaDeviceGetAttribute");
    if (entry.ends()) return entry.refusal();
    if (value == nullptr) return entry.give(cudaErrorInvalidValue);
    if (!is_device(device)) return entry.give(cudaErrorInvalidDevice);
    switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = 1; break;
    case cudaDevAttrIntegrated: *value = 0; break;
    case cudaDevAttrComputeMode: *value = 0; break;
    case cudaDevAttrPciBusId: *value = device + 1; break;
    case cudaDevAttrPciDeviceId: *value = 0; break;
    case cudaDevAttrPciDomainId: *value = PCI_DOMAIN; break;
    case cudaDevAttrAsyncEngineCount: *value = 2; break;
    case cudaDevAttrUnifiedAddressing: *value = 1; break;
    case cudaDevAttrComputeCapabilityMajor: *value = COMPUTE_CAPABILITY; break;
    case cudaDevAttrComputeCapabilityMinor: *value = COMPUTE_CAPABILITY; break;
    case cudaDevAttrMemoryPoolsSupported: *value = 0; break;
    case cudaDevAttrIpcEventSupport: *value = 0; break;
    default: return entry.give(cudaErrorInvalidValue);
    }
    if (entry.call().ordered().garble) *value = -77;
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaDeviceGetPCIBusId(char *text, int room, int device) {
    Entry entry("cudaDeviceGetPCIBusId");
    if (entry.ends()) return entry.refusal();
    if (text == nullptr || room < 13) return entry.give(cudaErrorInvalidValue);
    if (!is_device(device)) return entry.give(cudaErrorInvalidDevice);
    std::snprintf(text, static_cast<size_t>(room), "%04x:%02x:00.0", PCI_DOMAIN, device + 1);
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
    Entry entry("cudaMemGetInfo");
    if (entry.ends_without_context()) return entry.refusal();
    if (free == nullptr || total == nullptr) return entry.give(cudaErrorInvalidValue);
    *free = entry.context()->device()->free_memory();
    *total = entry.context()->device()->total_memory();
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaGetLastError(void) {
    emulated::Call call("cudaGetLastError", true);
    auto &thread = RuntimeThread::here();
    const auto context = Thread::here().context;
    if (context != nullptr) {
        // Sticky: nothing clears it.
        if (const auto broken = context->broken()) return emulated::code_of(*broken);
    }
    const cudaError_t last = thread.last_error;
    thread.last_error = cudaSuccess;
    return last;
}

EMULATED_API cudaError_t cudaPeekAtLastError(void) {
    emulated::Call call("cudaPeekAtLastError", true);
    const auto context = Thread::here().context;
    if (context != nullptr) {
        if (const auto broken = context->broken()) return emulated::code_of(*broken);
    }
    return RuntimeThread::here().last_error;
}

EMULATED_API cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    Entry entry("cudaDeviceGetStreamPriorityRange");
    if (entry.ends_without_context()) return entry.refusal();
    if (least != nullptr) *least = LEAST_PRIORITY;
    if (greatest != nullptr) *greatest = GREATEST_PRIORITY;
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer) {
    Entry entry("cudaDeviceCanAccessPeer");
    if (entry.ends()) return entry.refusal();
    if (can == nullptr) return entry.give(cudaErrorInvalidValue);
    if (!is_device(device) || !is_device(peer)) return entry.give(cudaErrorInvalidDevice);
    *can = device != peer && !Orders::all().refuses("peer_access") ? 1 : 0;
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags) {
    Entry entry("cudaDeviceEnablePeerAccess");
    if (entry.ends_without_context()) return entry.refusal();
    if (flags != 0) return entry.give(cudaErrorInvalidValue);
    const auto &device = entry.context()->device();
    if (!is_device(peer) || peer == device->ordinal()) return entry.give(cudaErrorInvalidDevice);
    if (Orders::all().refuses("peer_access")) return entry.give(cudaErrorPeerAccessUnsupported);
    if (!device->enable_peer(peer).ok()) return entry.give(cudaErrorPeerAccessAlreadyEnabled);
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaDeviceDisablePeerAccess(int peer) {
    Entry entry("cudaDeviceDisablePeerAccess");
    if (entry.ends_without_context()) return entry.refusal();
    if (!is_device(peer)) return entry.give(cudaErrorInvalidDevice);
    return entry.give(entry.context()->device()->disable_peer(peer));
}

} // extern "C"
