// Names and sentences of status codes.
#include "cuda/state/state.h"

namespace {

struct Text {
    cudaError_t code;
    const char *name;
    const char *sentence;
};

// The names are the vendor's; the sentences say that they are emulated.
constexpr Text TEXTS[] = {
    {cudaSuccess, "cudaSuccess", "no error (emulated)"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument (emulated)"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory (emulated)"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error (emulated)"},
    {cudaErrorCudartUnloading, "cudaErrorCudartUnloading", "cudart unloading (emulated)"},
    {cudaErrorInvalidDevicePointer, "cudaErrorInvalidDevicePointer", "invalid device pointer (emulated)"},
    {cudaErrorStubLibrary, "cudaErrorStubLibrary", "stub library (emulated)"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "insufficient driver (emulated)"},
    {cudaErrorCallRequiresNewerDriver, "cudaErrorCallRequiresNewerDriver", "call requires newer driver (emulated)"},
    {cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable", "devices unavailable (emulated)"},
    {cudaErrorIncompatibleDriverContext, "cudaErrorIncompatibleDriverContext", "incompatible driver context (emulated)"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no device (emulated)"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device (emulated)"},
    {cudaErrorDeviceUninitialized, "cudaErrorDeviceUninitialized", "device uninitialized (emulated)"},
    {cudaErrorMapBufferObjectFailed, "cudaErrorMapBufferObjectFailed", "map buffer object failed (emulated)"},
    {cudaErrorAlreadyMapped, "cudaErrorAlreadyMapped", "already mapped (emulated)"},
    {cudaErrorECCUncorrectable, "cudaErrorECCUncorrectable", "eccuncorrectable (emulated)"},
    {cudaErrorPeerAccessUnsupported, "cudaErrorPeerAccessUnsupported", "peer access unsupported (emulated)"},
    {cudaErrorNvlinkUncorrectable, "cudaErrorNvlinkUncorrectable", "nvlink uncorrectable (emulated)"},
    {cudaErrorOperatingSystem, "cudaErrorOperatingSystem", "operating system (emulated)"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle (emulated)"},
    {cudaErrorSymbolNotFound, "cudaErrorSymbolNotFound", "symbol not found (emulated)"},
    {cudaErrorNotReady, "cudaErrorNotReady", "not ready (emulated)"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "illegal address (emulated)"},
    {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "launch timeout (emulated)"},
    {cudaErrorPeerAccessAlreadyEnabled, "cudaErrorPeerAccessAlreadyEnabled", "peer access already enabled (emulated)"},
    {cudaErrorPeerAccessNotEnabled, "cudaErrorPeerAccessNotEnabled", "peer access not enabled (emulated)"},
    {cudaErrorContextIsDestroyed, "cudaErrorContextIsDestroyed", "context is destroyed (emulated)"},
    {cudaErrorAssert, "cudaErrorAssert", "assert (emulated)"},
    {cudaErrorTooManyPeers, "cudaErrorTooManyPeers", "too many peers (emulated)"},
    {cudaErrorHostMemoryAlreadyRegistered, "cudaErrorHostMemoryAlreadyRegistered", "host memory already registered (emulated)"},
    {cudaErrorHostMemoryNotRegistered, "cudaErrorHostMemoryNotRegistered", "host memory not registered (emulated)"},
    {cudaErrorHardwareStackError, "cudaErrorHardwareStackError", "hardware stack error (emulated)"},
    {cudaErrorIllegalInstruction, "cudaErrorIllegalInstruction", "illegal instruction (emulated)"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address (emulated)"},
    {cudaErrorInvalidAddressSpace, "cudaErrorInvalidAddressSpace", "invalid address space (emulated)"},
    {cudaErrorInvalidPc, "cudaErrorInvalidPc", "invalid pc (emulated)"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "launch failure (emulated)"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "not permitted (emulated)"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "not supported (emulated)"},
    {cudaErrorSystemNotReady, "cudaErrorSystemNotReady", "system not ready (emulated)"},
    {cudaErrorSystemDriverMismatch, "cudaErrorSystemDriverMismatch", "system driver mismatch (emulated)"},
    {cudaErrorMpsConnectionFailed, "cudaErrorMpsConnectionFailed", "mps connection failed (emulated)"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported", "stream capture unsupported (emulated)"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated", "stream capture invalidated (emulated)"},
    {cudaErrorTimeout, "cudaErrorTimeout", "timeout (emulated)"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown (emulated)"},
};

const Text *text_of(cudaError_t code) {
    for (const auto &text : TEXTS) {
        if (text.code == code) return &text;
    }
    return nullptr;
}

} // namespace

extern "C" {

EMULATED_API const char *cudaGetErrorName(cudaError_t code) {
    const emulated::Call call("cudaGetErrorName", true);
    if (call.ordered().fail) return nullptr;
    const Text *text = text_of(code);
    return text == nullptr ? "unrecognized error code" : text->name;
}

EMULATED_API const char *cudaGetErrorString(cudaError_t code) {
    const emulated::Call call("cudaGetErrorString", true);
    if (call.ordered().fail) return nullptr;
    const Text *text = text_of(code);
    return text == nullptr ? "unrecognized error code" : text->sentence;
}

} // extern "C"
