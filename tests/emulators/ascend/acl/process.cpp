// The process: start and end, versions, errors, devices and contexts.
#include <chrono>
#include <cstring>

#include "ascend/state/library.h"

#include "core/machine.h"
#include "core/thread.h"

using namespace emulated;

namespace {

constexpr char CHIP[] = "Ascend 910B (emulated)";
constexpr char VERSION[] = "8.5.0-emulated";

} // namespace

extern "C" {

EMULATED_API aclError aclInit(const char *) {
    AscendCall call("aclInit", Needs::nothing);
    return call.ends() ? call.end() : call.end(Library::here().initialise());
}

EMULATED_API aclError aclFinalize(void) {
    AscendCall call("aclFinalize", Needs::nothing);
    return call.ends() ? call.end() : call.end(Library::here().finalise());
}

EMULATED_API aclError aclFinalizeReference(uint64_t *references) {
    AscendCall call("aclFinalizeReference", Needs::nothing);
    if (call.ends()) return call.end();
    if (references != nullptr) *references = 0;
    return call.end(Library::here().finalise());
}

EMULATED_API const char *aclGetRecentErrMsg(void) {
    const Call call("aclGetRecentErrMsg", true);
    if (call.ordered().fail) return nullptr;
    auto &recent = Recent::here();
    if (recent.text.empty()) return nullptr;
    // Given once; it stays until the next one is asked for.
    recent.given = std::move(recent.text);
    recent.text.clear();
    return recent.given.c_str();
}

EMULATED_API aclError aclrtPeekAtLastError(aclrtLastErrLevel) {
    const Call call("aclrtPeekAtLastError", true);
    return call.ordered().fail ? static_cast<aclError>(*call.ordered().fail) : Recent::here().code;
}

EMULATED_API aclError aclrtGetLastError(aclrtLastErrLevel) {
    const Call call("aclrtGetLastError", true);
    if (call.ordered().fail) return static_cast<aclError>(*call.ordered().fail);
    const aclError code = Recent::here().code;
    Recent::here().code = ACL_SUCCESS;
    return code;
}

EMULATED_API const char *aclrtGetSocName(void) {
    const Call call("aclrtGetSocName");
    return call.refused().ok() ? CHIP : nullptr;
}

EMULATED_API aclError aclrtGetRunMode(aclrtRunMode *mode) {
    AscendCall call("aclrtGetRunMode", Needs::nothing);
    if (call.ends()) return call.end();
    if (mode == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    *mode = ACL_HOST;
    return call.end();
}

EMULATED_API aclError aclrtGetVersion(int32_t *major, int32_t *minor, int32_t *patch) {
    AscendCall call("aclrtGetVersion", Needs::nothing);
    if (call.ends()) return call.end();
    if (major == nullptr || minor == nullptr || patch == nullptr) {
        return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    }
    *major = 1;
    *minor = 17;
    *patch = 0;
    return call.end();
}

EMULATED_API aclError aclsysGetCANNVersion(aclCANNPackageName package, aclCANNPackageVersion *version) {
    AscendCall call("aclsysGetCANNVersion", Needs::nothing);
    if (call.ends()) return call.end();
    if (version == nullptr || package > ACL_PKG_NAME_DRIVER) {
        return call.end_with(ACL_ERROR_INVALID_PARAM, "no such package, or the answer has no place");
    }
    std::memset(version, 0, sizeof *version);
    std::strcpy(version->version, VERSION);
    std::strcpy(version->majorVersion, "8");
    std::strcpy(version->minorVersion, "5");
    std::strcpy(version->releaseVersion, "0");
    return call.end();
}

EMULATED_API aclError aclsysGetVersionStr(char *package, char *version) {
    AscendCall call("aclsysGetVersionStr", Needs::nothing);
    if (call.ends()) return call.end();
    if (package == nullptr || version == nullptr) {
        return call.end_with(ACL_ERROR_INVALID_PARAM, "no package, or the answer has no place");
    }
    std::strcpy(version, VERSION);
    return call.end();
}

EMULATED_API aclError aclsysGetVersionNum(char *package, int32_t *version) {
    AscendCall call("aclsysGetVersionNum", Needs::nothing);
    if (call.ends()) return call.end();
    if (package == nullptr || version == nullptr) {
        return call.end_with(ACL_ERROR_INVALID_PARAM, "no package, or the answer has no place");
    }
    *version = 80500000;
    return call.end();
}

EMULATED_API aclError aclrtGetDeviceCount(uint32_t *count) {
    AscendCall call("aclrtGetDeviceCount", Needs::library);
    if (call.ends()) return call.end();
    if (count == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    const int devices = Machine::here().devices();
    if (devices == 0) return call.end_with(ACL_ERROR_RT_NO_DEVICE, "there is no device");
    *count = static_cast<uint32_t>(devices);
    return call.end();
}

EMULATED_API aclError aclrtSetDevice(int32_t device) {
    AscendCall call("aclrtSetDevice", Needs::library);
    if (call.ends()) return call.end();
    if (Machine::here().device(device) == nullptr) return call.end(Fault::invalid_device, "no such device");
    Thread::here().context = Library::here().set_device(device)->context;
    return call.end();
}

EMULATED_API aclError aclrtResetDevice(int32_t device) {
    AscendCall call("aclrtResetDevice", Needs::library);
    if (call.ends()) return call.end();
    if (Machine::here().device(device) == nullptr) return call.end(Fault::invalid_device, "no such device");
    return call.end(Library::here().reset_device(call.function(), device));
}

EMULATED_API aclError aclrtGetDevice(int32_t *device) {
    AscendCall call("aclrtGetDevice", Needs::context);
    if (call.ends()) return call.end();
    if (device == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    *device = call.context()->device()->ordinal();
    return call.end();
}

EMULATED_API aclError aclrtSynchronizeDeviceWithTimeout(int32_t timeout) {
    AscendCall call("aclrtSynchronizeDeviceWithTimeout", Needs::context);
    if (call.ends()) return call.end();
    if (timeout < -1) return call.end(Fault::invalid_argument, "allowed are -1, for no limit, and more");
    std::optional<std::chrono::steady_clock::time_point> deadline;
    if (timeout >= 0) deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout);
    Outcome outcome;
    for (const auto &context : Library::here().contexts_of(call.context()->device()->ordinal())) {
        for (const auto &stream : context->context->streams()) {
            const Outcome waited = stream->synchronize(deadline);
            if (waited.fault == Fault::timed_out) {
                return call.end_with(ACL_ERROR_RT_STREAM_SYNC_TIMEOUT, "the device still has work");
            }
            if (outcome.ok()) outcome = waited;
        }
    }
    return call.end(outcome);
}

EMULATED_API aclError aclrtSynchronizeDevice(void) {
    AscendCall call("aclrtSynchronizeDevice", Needs::context);
    return call.ends() ? call.end() : aclrtSynchronizeDeviceWithTimeout(-1);
}

EMULATED_API aclError aclrtDeviceTaskAbort(int32_t device, uint32_t) {
    AscendCall call("aclrtDeviceTaskAbort", Needs::library);
    if (call.ends()) return call.end();
    if (Machine::here().device(device) == nullptr) return call.end(Fault::invalid_device, "no such device");
    for (const auto &context : Library::here().contexts_of(device)) {
        for (const auto &stream : context->context->streams()) stream->abort();
    }
    return call.end();
}

// Limits for the device's own waits and tasks. They are taken, and nothing here takes so long.
EMULATED_API aclError aclrtSetOpWaitTimeout(uint32_t) {
    AscendCall call("aclrtSetOpWaitTimeout", Needs::library);
    return call.end();
}

EMULATED_API aclError aclrtSetOpExecuteTimeOut(uint32_t) {
    AscendCall call("aclrtSetOpExecuteTimeOut", Needs::library);
    return call.end();
}

EMULATED_API aclError aclrtCreateContext(aclrtContext *context, int32_t device) {
    AscendCall call("aclrtCreateContext", Needs::library);
    if (call.ends()) return call.end();
    if (context == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    if (Machine::here().device(device) == nullptr) return call.end(Fault::invalid_device, "no such device");
    const auto note = Library::here().create_context(device);
    Thread::here().context = note->context;
    *context = note->handle;
    return call.end();
}

EMULATED_API aclError aclrtDestroyContext(aclrtContext context) {
    AscendCall call("aclrtDestroyContext", Needs::library);
    if (call.ends()) return call.end();
    return call.end(Library::here().destroy_context(call.function(), context));
}

EMULATED_API aclError aclrtSetCurrentContext(aclrtContext context) {
    AscendCall call("aclrtSetCurrentContext", Needs::library);
    if (call.ends()) return call.end();
    // The manual knows no way to have none again.
    if (context == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the context is null");
    const auto note = Library::here().note_of(context);
    if (note == nullptr) {
        const char *state = text_of(Machine::here().contexts.state(context));
        call.report("use_of_destroyed_context", std::string("the context ") + state);
        return call.end(Fault::invalid_handle, std::string("the context ") + state);
    }
    Thread::here().context = note->context;
    return call.end();
}

EMULATED_API aclError aclrtGetCurrentContext(aclrtContext *context) {
    AscendCall call("aclrtGetCurrentContext", Needs::context);
    if (call.ends()) return call.end();
    if (context == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    *context = call.note()->handle;
    return call.end();
}

} // extern "C"
