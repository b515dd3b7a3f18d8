#include "state.h"

namespace emulated {

cudaError_t code_of(const Outcome &outcome) {
    switch (outcome.fault) {
    case Fault::none: return cudaSuccess;
    case Fault::ordered: return static_cast<cudaError_t>(outcome.code);
    case Fault::invalid_argument:
    case Fault::invalid_address:
    case Fault::misaligned:
    case Fault::mismatch: return cudaErrorInvalidValue;
    case Fault::invalid_device:
    case Fault::duplicate_device: return cudaErrorInvalidDevice;
    case Fault::no_context: return cudaErrorDeviceUninitialized;
    case Fault::invalid_handle:
    case Fault::wrong_context:
    case Fault::not_exported: return cudaErrorInvalidResourceHandle;
    case Fault::out_of_memory:
    case Fault::out_of_streams:
    case Fault::out_of_events: return cudaErrorMemoryAllocation;
    case Fault::already_registered: return cudaErrorHostMemoryAlreadyRegistered;
    case Fault::not_registered: return cudaErrorHostMemoryNotRegistered;
    case Fault::not_permitted: return cudaErrorNotPermitted;
    case Fault::unsupported: return cudaErrorNotSupported;
    case Fault::peer_access_missing: return cudaErrorPeerAccessNotEnabled;
    case Fault::timed_out: return cudaErrorTimeout;
    case Fault::in_use: return cudaErrorNotReady;
    case Fault::lost:
    case Fault::aborted:
    case Fault::peer_lost: return cudaErrorLaunchFailure;
    case Fault::system: return cudaErrorOperatingSystem;
    }
    return cudaErrorUnknown;
}

} // namespace emulated
