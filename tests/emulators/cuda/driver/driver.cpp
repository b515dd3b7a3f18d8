// libcuda.so.1, as far as it is bound.
#include <cstdio>
#include <cstring>

#include "core/memory.h"
#include "core/violations.h"
#include "cuda/state/state.h"
#include "eplb_cuda_driver.h"

using emulated::Call;
using emulated::Cuda;
using emulated::HandleState;
using emulated::Machine;
using emulated::Memory;
using emulated::Place;
using emulated::Thread;
using emulated::Violations;

namespace {

struct Text {
    CUresult code;
    const char *name;
    const char *sentence;
};

constexpr Text TEXTS[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument (emulated)"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory (emulated)"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "not initialised (emulated)"},
    {CUDA_ERROR_DEINITIALIZED, "CUDA_ERROR_DEINITIALIZED", "shutting down (emulated)"},
    {CUDA_ERROR_STUB_LIBRARY, "CUDA_ERROR_STUB_LIBRARY", "a stub (emulated)"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no device (emulated)"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device (emulated)"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid context (emulated)"},
    {CUDA_ERROR_CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed (emulated)"},
};

// What every function but cuInit begins with; `ok` to go on.
CUresult begin(const Call &call) {
    const auto refused = call.refused();
    if (!refused.ok()) return static_cast<CUresult>(emulated::code_of(refused));
    return Cuda::here().is_started() ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

template <class T>
void put(void *data, T value) {
    std::memcpy(data, &value, sizeof value);
}

} // namespace

extern "C" {

EMULATED_API CUresult cuInit(unsigned int flags) {
    const Call call("cuInit");
    const auto refused = call.refused();
    if (!refused.ok()) return static_cast<CUresult>(emulated::code_of(refused));
    if (flags != 0) return CUDA_ERROR_INVALID_VALUE;
    if (Machine::here().devices() == 0) return CUDA_ERROR_NO_DEVICE;
    Cuda::here().start();
    return CUDA_SUCCESS;
}

EMULATED_API CUresult cuDriverGetVersion(int *version) {
    const Call call("cuDriverGetVersion");
    const auto refused = call.refused();
    if (!refused.ok()) return static_cast<CUresult>(emulated::code_of(refused));
    if (version == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *version = emulated::cuda_version();
    return CUDA_SUCCESS;
}

EMULATED_API CUresult cuGetErrorName(CUresult status, const char **text) {
    const Call call("cuGetErrorName", true);
    if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *text = nullptr;
    if (call.ordered().fail) return static_cast<CUresult>(*call.ordered().fail);
    for (const auto &known : TEXTS) {
        if (known.code == status) *text = known.name;
    }
    return *text == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EMULATED_API CUresult cuGetErrorString(CUresult status, const char **text) {
    const Call call("cuGetErrorString", true);
    if (text == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *text = nullptr;
    if (call.ordered().fail) return static_cast<CUresult>(*call.ordered().fail);
    for (const auto &known : TEXTS) {
        if (known.code == status) *text = known.sentence;
    }
    return *text == nullptr ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EMULATED_API CUresult cuDeviceGetName(char *name, int length, CUdevice device) {
    const Call call("cuDeviceGetName");
    if (const CUresult code = begin(call); code != CUDA_SUCCESS) return code;
    if (name == nullptr || length <= 0) return CUDA_ERROR_INVALID_VALUE;
    if (Machine::here().device(device) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    std::snprintf(name, static_cast<size_t>(length), "Emulated NVIDIA device");
    return CUDA_SUCCESS;
}

EMULATED_API CUresult cuCtxGetCurrent(CUcontext *context) {
    const Call call("cuCtxGetCurrent");
    if (const CUresult code = begin(call); code != CUDA_SUCCESS) return code;
    if (context == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *context = static_cast<CUcontext>(Cuda::here().handle_of(Thread::here().context));
    return CUDA_SUCCESS;
}

EMULATED_API CUresult cuCtxSetCurrent(CUcontext handle) {
    const Call call("cuCtxSetCurrent");
    if (const CUresult code = begin(call); code != CUDA_SUCCESS) return code;
    if (handle == nullptr) {
        Thread::here().context = nullptr;
        return CUDA_SUCCESS;
    }
    HandleState state = HandleState::null;
    auto context = Machine::here().contexts.find(handle, &state);
    if (context == nullptr) {
        Violations::all().report("foreign_context", std::string("cuCtxSetCurrent: the context ") + text_of(state));
        return CUDA_ERROR_INVALID_CONTEXT;
    }
    Thread::here().context = std::move(context);
    return CUDA_SUCCESS;
}

EMULATED_API CUresult cuCtxGetDevice(CUdevice *device) {
    const Call call("cuCtxGetDevice");
    if (const CUresult code = begin(call); code != CUDA_SUCCESS) return code;
    if (device == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (Thread::here().context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    *device = Thread::here().device();
    return CUDA_SUCCESS;
}

EMULATED_API CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags, int *active) {
    const Call call("cuDevicePrimaryCtxGetState");
    if (const CUresult code = begin(call); code != CUDA_SUCCESS) return code;
    if (flags == nullptr || active == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (Machine::here().device(device) == nullptr) return CUDA_ERROR_INVALID_DEVICE;
    *flags = 0;
    *active = Cuda::here().is_primary_active(device) ? 1 : 0;
    return CUDA_SUCCESS;
}

EMULATED_API CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *size, CUdeviceptr address) {
    const Call call("cuMemGetAddressRange_v2");
    if (const CUresult code = begin(call); code != CUDA_SUCCESS) return code;
    if (Thread::here().context == nullptr) return CUDA_ERROR_INVALID_CONTEXT;
    const auto allocation = Memory::all().find(static_cast<std::uintptr_t>(address));
    const bool is_device =
        allocation != nullptr && (allocation->place == Place::device || allocation->place == Place::imported);
    if (!is_device) return CUDA_ERROR_INVALID_VALUE;
    if (base != nullptr) *base = allocation->address;
    if (size != nullptr) *size = allocation->bytes;
    return CUDA_SUCCESS;
}

EMULATED_API CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address) {
    const Call call("cuPointerGetAttribute");
    if (const CUresult code = begin(call); code != CUDA_SUCCESS) return code;
    const auto allocation = Memory::all().find(static_cast<std::uintptr_t>(address));
    if (data == nullptr || allocation == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const bool is_device = allocation->place == Place::device || allocation->place == Place::imported;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        put<void *>(data, Cuda::here().handle_of(Cuda::here().primary(allocation->device)));
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE: put<unsigned int>(data, is_device ? 2 : 1); return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: put<int>(data, allocation->device); return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
        put<int>(data, allocation->place == Place::device ? 1 : 0);
        return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: put<CUdeviceptr>(data, allocation->address); return CUDA_SUCCESS;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: put<size_t>(data, allocation->bytes); return CUDA_SUCCESS;
    }
    return CUDA_ERROR_INVALID_VALUE;
}

} // extern "C"
