// Creating, asking and ending communicators.
#include <algorithm>
#include <cstring>

#include "core/orders.h"
#include "core/violations.h"
#include "end.h"
#include "group.h"

using emulated::Call;
using emulated::Communicator;
using emulated::CommunicatorName;
using emulated::CommunicatorRequest;
using emulated::complain;
using emulated::Context;
using emulated::End;
using emulated::end_of;
using emulated::ends;
using emulated::Fault;
using emulated::Group;
using emulated::Machine;
using emulated::nccl_code;
using emulated::Outcome;
using emulated::Siblings;
using emulated::Thread;

namespace {

constexpr int VERSION = 22809;
// What communicators take, as numbers of the right size; see the backend for where they are from.
constexpr std::uint64_t BASE_BYTES = 4 << 20;
constexpr std::uint64_t CHANNEL_BYTES = 6 << 20;
constexpr std::uint64_t PEER_BYTES = 4 << 20;
constexpr int DEFAULT_CHANNELS = 16;
// Layouts up to which a configuration may reach.
constexpr size_t LAYOUTS[] = {24, 40, 44, 56, 64, 68, 72};
constexpr size_t LARGEST_LAYOUT = 72;

// A configuration as the library reads it; false, and a sentence, if it makes no sense.
bool read_config(const ncclConfig_t *given, ncclConfig_t *config, std::string *why) {
    std::memset(config, 0, sizeof *config);
    config->blocking = config->maxCTAs = config->minCTAs = NCCL_CONFIG_UNDEF_INT;
    if (given == nullptr) return true;
    if (given->magic != NCCL_API_MAGIC) {
        *why = "the configuration has another magic number";
        return false;
    }
    const bool is_known = std::find(std::begin(LAYOUTS), std::end(LAYOUTS), given->size) != std::end(LAYOUTS);
    if (!is_known || given->size > LARGEST_LAYOUT) {
        *why = "no layout of the configuration has " + std::to_string(given->size) + " bytes";
        return false;
    }
    std::memcpy(config, given, given->size);
    if (given->size <= offsetof(ncclConfig_t, maxCTAs)) config->minCTAs = config->maxCTAs = NCCL_CONFIG_UNDEF_INT;
    const bool blocks_soundly =
        config->blocking == NCCL_CONFIG_UNDEF_INT || config->blocking == 0 || config->blocking == 1;
    const bool channels_sound = config->maxCTAs == NCCL_CONFIG_UNDEF_INT || config->maxCTAs > 0;
    if (!blocks_soundly || !channels_sound) *why = "a field of the configuration has no sound value";
    return blocks_soundly && channels_sound;
}

// Takes the communicator out of the library, so that its handle means nothing any more. Gives the contexts
// in which memory is freed with it.
std::vector<std::shared_ptr<Context>> forget(ncclComm_t handle) {
    const auto end = ends().remove(handle);
    if (end == nullptr) return {};
    Machine::here().communicators.remove(end->counted);
    return Siblings::all().leave(end->communicator()->name());
}

ncclResult_t create(const Call &call, ncclComm_t *handle, int ranks, const ncclUniqueId &id, int rank,
                    const ncclConfig_t *given) {
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    if (handle == nullptr) return complain(ncclInvalidArgument, "no room for the handle");
    *handle = nullptr;
    CommunicatorRequest request;
    if (!CommunicatorName::read(reinterpret_cast<const std::uint8_t *>(id.internal), &request.name)) {
        return complain(ncclInvalidArgument, "the id was not made by this library");
    }
    ncclConfig_t config;
    std::string why;
    if (!read_config(given, &config, &why)) {
        emulated::Violations::all().report("configuration_unsound", std::string(call.function()) + ": " + why);
        return complain(ncclInvalidArgument, why);
    }
    auto &thread = Thread::here();
    if (thread.context == nullptr) thread.context = emulated::Cuda::here().primary(0);
    if (thread.context == nullptr) return complain(ncclUnhandledCudaError, "there is no device");
    const int channels = config.maxCTAs == NCCL_CONFIG_UNDEF_INT ? DEFAULT_CHANNELS : config.maxCTAs;
    request.rank = rank;
    request.ranks = ranks;
    request.context = thread.context;
    request.settings = "maxCTAs=" + std::to_string(channels);
    const auto peers = static_cast<std::uint64_t>(std::max(ranks - 1, 0));
    request.reserved_bytes =
        BASE_BYTES + static_cast<std::uint64_t>(channels) * (CHANNEL_BYTES + peers * PEER_BYTES);
    request.rules.failed_work_stays = true;
    request.rules.aborted_work_succeeds = true;
    std::shared_ptr<Communicator> communicator;
    const Outcome begun = Communicator::begin(std::move(request), &communicator);
    if (!begun.ok()) return complain(begun);
    auto end = std::make_shared<End>(communicator, config.blocking != 0);
    end->counted = Machine::here().communicators.add(communicator);
    Siblings::all().join(communicator->name(), thread.context);
    *handle = static_cast<ncclComm_t>(ends().add(end));
    if (!end->blocks()) return ncclInProgress;
    if (Group::here().is_open()) {
        Group::here().add_creation(end);
        return ncclSuccess;
    }
    const Outcome ready = communicator->wait_ready();
    if (ready.ok()) return ncclSuccess;
    forget(*handle);
    *handle = nullptr;
    return complain(ready);
}

} // namespace

extern "C" {

EMULATED_API ncclResult_t ncclGetVersion(int *version) {
    const Call call("ncclGetVersion");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    if (version == nullptr) return complain(ncclInvalidArgument, "no room for the version");
    *version = VERSION;
    return ncclSuccess;
}

EMULATED_API ncclResult_t ncclGetUniqueId(ncclUniqueId *id) {
    const Call call("ncclGetUniqueId");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    if (id == nullptr) return complain(ncclInvalidArgument, "no room for the id");
    std::memset(id, 0, sizeof *id);
    const auto bytes = CommunicatorName::make().bytes();
    std::memcpy(id->internal, bytes.data(), bytes.size());
    if (call.ordered().garble) id->internal[0] ^= 0x5A;
    return ncclSuccess;
}

EMULATED_API ncclResult_t ncclCommInitRank(ncclComm_t *handle, int ranks, ncclUniqueId id, int rank) {
    const Call call("ncclCommInitRank");
    return create(call, handle, ranks, id, rank, nullptr);
}

EMULATED_API ncclResult_t ncclCommInitRankConfig(ncclComm_t *handle, int ranks, ncclUniqueId id, int rank,
                                                 ncclConfig_t *config) {
    const Call call("ncclCommInitRankConfig");
    return create(call, handle, ranks, id, rank, config);
}

EMULATED_API ncclResult_t ncclCommFinalize(ncclComm_t handle) {
    const Call call("ncclCommFinalize");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto end = end_of(call.function(), handle);
    if (end == nullptr) return ncclInvalidArgument;
    if (const ncclResult_t code = end->check_ready(call.function()); code != ncclSuccess) return code;
    end->finalizing = true;
    const auto communicator = end->communicator();
    return end->launch([communicator] {
        communicator->wait_idle();
        communicator->finish();
        return Outcome::success();
    });
}

EMULATED_API ncclResult_t ncclCommDestroy(ncclComm_t handle) {
    const Call call("ncclCommDestroy");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto end = end_of(call.function(), handle);
    if (end == nullptr) return ncclInvalidArgument;
    end->wait_launched();
    const auto &communicator = end->communicator();
    if (communicator->state() == Communicator::State::ready) {
        if (communicator->failure()) {
            communicator->abort();
        } else {
            communicator->wait_idle();
            communicator->finish();
        }
    } else {
        communicator->abort();
    }
    for (const auto &context : forget(handle)) context->synchronize();
    return ncclSuccess;
}

EMULATED_API ncclResult_t ncclCommAbort(ncclComm_t handle) {
    const Call call("ncclCommAbort");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto end = end_of(call.function(), handle);
    if (end == nullptr) return ncclInvalidArgument;
    end->communicator()->abort();
    end->wait_launched();
    // Its work ends when the stream has come to it, and the library waits for that.
    end->communicator()->wait_idle();
    forget(handle);
    return ncclSuccess;
}

EMULATED_API ncclResult_t ncclCommRevoke(ncclComm_t handle, int flags) {
    const Call call("ncclCommRevoke");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto end = end_of(call.function(), handle);
    if (end == nullptr) return ncclInvalidArgument;
    if (flags != 0) return complain(ncclInvalidArgument, "flags are not 0");
    end->revoked = true;
    end->communicator()->abort();
    return ncclSuccess;
}

EMULATED_API ncclResult_t ncclCommGetAsyncError(ncclComm_t handle, ncclResult_t *error) {
    const Call call("ncclCommGetAsyncError");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto end = end_of(call.function(), handle);
    if (end == nullptr || error == nullptr) return ncclInvalidArgument;
    *error = end->standing();
    return ncclSuccess;
}

EMULATED_API ncclResult_t ncclCommCount(const ncclComm_t handle, int *count) {
    const Call call("ncclCommCount");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto end = end_of(call.function(), handle);
    if (end == nullptr || count == nullptr) return ncclInvalidArgument;
    if (const ncclResult_t code = end->check_ready(call.function()); code != ncclSuccess) return code;
    *count = end->communicator()->ranks();
    return ncclSuccess;
}

EMULATED_API ncclResult_t ncclCommCuDevice(const ncclComm_t handle, int *device) {
    const Call call("ncclCommCuDevice");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto end = end_of(call.function(), handle);
    if (end == nullptr || device == nullptr) return ncclInvalidArgument;
    if (const ncclResult_t code = end->check_ready(call.function()); code != ncclSuccess) return code;
    *device = end->device();
    return ncclSuccess;
}

EMULATED_API ncclResult_t ncclCommUserRank(const ncclComm_t handle, int *rank) {
    const Call call("ncclCommUserRank");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    const auto end = end_of(call.function(), handle);
    if (end == nullptr || rank == nullptr) return ncclInvalidArgument;
    if (const ncclResult_t code = end->check_ready(call.function()); code != ncclSuccess) return code;
    *rank = end->communicator()->rank();
    return ncclSuccess;
}

EMULATED_API const char *ncclGetErrorString(ncclResult_t result) {
    const emulated::Call call("ncclGetErrorString", true);
    if (call.ordered().fail) return nullptr;
    switch (result) {
    case ncclSuccess: return "no error";
    case ncclUnhandledCudaError: return "unhandled cuda error (emulated)";
    case ncclSystemError: return "unhandled system error (emulated)";
    case ncclInternalError: return "internal error (emulated)";
    case ncclInvalidArgument: return "invalid argument (emulated)";
    case ncclInvalidUsage: return "invalid usage (emulated)";
    case ncclRemoteError: return "a remote process exited or there was a network error (emulated)";
    case ncclInProgress: return "in progress (emulated)";
    case ncclTimeout: return "timed out (emulated)";
    }
    return "unknown result code";
}

EMULATED_API const char *ncclGetLastError(ncclComm_t) {
    const emulated::Call call("ncclGetLastError", true);
    return call.ordered().fail ? nullptr : emulated::last_complaint();
}

} // extern "C"
