// Communicators: names, creation, destruction, questions.
#include <chrono>
#include <cstring>
#include <thread>
#include <unistd.h>

#include "ascend/hcomm/rank_table.h"
#include "ascend/state/ends.h"

#include "core/machine.h"

using namespace emulated;

namespace {

// The limits, with names of their own: the vendor's variables allow two minutes at least.
constexpr const char *CONNECT_LIMIT = "EPLB_EMULATOR_CONNECT_MILLISECONDS";
constexpr std::uint64_t DEFAULT_CONNECT = 120000;
constexpr const char *OPERATOR_LIMIT = "EPLB_EMULATOR_OPERATOR_MILLISECONDS";
constexpr std::uint64_t DEFAULT_OPERATOR = 1836000;
constexpr std::uint64_t BUFFERS = 2;
constexpr std::uint64_t MEGABYTE = 1 << 20;
// Up to version 10; what is in a configuration of a version is read up to its own size.
constexpr std::uint32_t LAST_VERSION = 10;
constexpr std::uint32_t CAPABILITY = 12;
constexpr std::size_t NAME_BYTES = 128;

using Time = std::chrono::steady_clock::time_point;

Time connect_deadline() {
    static const std::uint64_t limit = setting(CONNECT_LIMIT, DEFAULT_CONNECT);
    return std::chrono::steady_clock::now() + std::chrono::milliseconds(limit);
}

struct Settings {
    std::uint32_t megabytes = HCCL_COMM_DEFAULT_BUFFSIZE;
    std::string name;
};

Outcome read(AscendCall &call, const HcclCommConfig *config, Settings *settings) {
    if (config == nullptr) return Outcome::failed(Fault::invalid_argument, "there is no configuration");
    const std::size_t least = offsetof(HcclCommConfig, hcclDeterministic);
    if (config->eplb_magic != HCCL_COMM_CONFIG_MAGIC_WORD || config->eplb_size < least ||
        config->eplb_size > sizeof(HcclCommConfig) || config->eplb_version == 0) {
        call.report("configuration_unsound", "size, magic or version of the configuration is wrong");
        return Outcome::failed(Fault::invalid_argument, "the configuration was not initialised");
    }
    if (config->eplb_version > LAST_VERSION) {
        return Outcome::failed(Fault::invalid_argument, "the configuration is newer than the library");
    }
    if (config->hcclBufferSize != HCCL_COMM_BUFFSIZE_CONFIG_NOT_SET) {
        if (config->hcclBufferSize == 0) return Outcome::failed(Fault::invalid_argument, "a buffer of 0 MB");
        settings->megabytes = config->hcclBufferSize;
    }
    if (config->eplb_version >= 2 && config->eplb_size >= offsetof(HcclCommConfig, hcclUdi)) {
        settings->name.assign(config->hcclCommName, strnlen(config->hcclCommName, NAME_BYTES - 1));
    }
    return Outcome::success();
}

std::string default_name(const CommunicatorName &name) {
    return "emulated_" + std::to_string(name.process.pid) + "_" + std::to_string(name.number);
}

// Waits for all ranks, and gives the handle.
Outcome create(AscendCall &call, const CommunicatorName &name, std::uint32_t ranks, std::uint32_t rank,
               const Settings &settings, Time deadline, HcclComm *communicator) {
    CommunicatorRequest request;
    request.name = name;
    request.rank = static_cast<int>(rank);
    request.ranks = static_cast<int>(ranks);
    request.context = call.context();
    request.settings = "buffers of " + std::to_string(settings.megabytes) + " MB, name \"" + settings.name + "\"";
    request.reserved_bytes = BUFFERS * settings.megabytes * MEGABYTE;
    static const std::uint64_t limit = setting(OPERATOR_LIMIT, DEFAULT_OPERATOR);
    request.rules.operation_limit = std::chrono::milliseconds(limit);
    auto note = std::make_shared<EndNote>();
    const Outcome begun = Communicator::begin(std::move(request), &note->communicator);
    if (!begun.ok()) return begun;
    const Outcome ready = note->communicator->wait_ready(deadline);
    if (!ready.ok()) {
        note->communicator->abort();
        return ready;
    }
    note->name = settings.name.empty() ? default_name(name) : settings.name;
    *communicator = Ends::all().add(note);
    return ready;
}

// What is ordered to take longer takes it here, since the call blocks.
void linger(const AscendCall &call) { std::this_thread::sleep_for(call.ordered().delay); }

Outcome check(std::uint32_t ranks, std::uint32_t rank, const void *communicator) {
    if (communicator == nullptr) return Outcome::failed(Fault::invalid_argument, "the answer has no place");
    if (ranks == 0 || ranks > INT32_MAX || rank >= ranks) {
        return Outcome::failed(Fault::invalid_argument,
                               "rank " + std::to_string(rank) + " of " + std::to_string(ranks));
    }
    return Outcome::success();
}

HcclResult create_by_root(AscendCall &call, std::uint32_t ranks, const HcclRootInfo *root_info, std::uint32_t rank,
                          const Settings &settings, HcclComm *communicator) {
    const Outcome is_right = check(ranks, rank, communicator);
    if (!is_right.ok()) return call.end_hccl(is_right);
    CommunicatorName name;
    if (root_info == nullptr ||
        !CommunicatorName::read(reinterpret_cast<const std::uint8_t *>(root_info->internal), &name)) {
        return call.end_hccl(Fault::invalid_argument, "the root info is none of HcclGetRootInfo");
    }
    const Alone alone(call, call.context()->device()->ordinal(), Alone::Kind::creation);
    linger(call);
    return call.end_hccl(create(call, name, ranks, rank, settings, connect_deadline(), communicator));
}

// The first rank leaves the name beside the table, where the others find it.
Outcome create_by_table(AscendCall &call, const char *path, std::uint32_t rank, const Settings &settings,
                        HcclComm *communicator) {
    RankTable table;
    if (const Outcome read = RankTable::read(path, &table); !read.ok()) return read;
    const auto ranks = static_cast<std::uint32_t>(table.devices.size());
    if (const Outcome is_right = check(ranks, rank, communicator); !is_right.ok()) return is_right;
    const int device = call.context()->device()->ordinal();
    if (table.devices[rank] != device) {
        return Outcome::failed(Fault::invalid_argument, "the table has rank " + std::to_string(rank) + " on device " +
                                                            std::to_string(table.devices[rank]) +
                                                            ", the thread is on device " + std::to_string(device));
    }
    const Alone alone(call, device, Alone::Kind::creation);
    linger(call);
    const Time deadline = connect_deadline();
    if (rank == 0) {
        const CommunicatorName name = CommunicatorName::make();
        if (!table.leave_name(name)) return Outcome::failed(Fault::system, "no name could be left beside the table");
        const Outcome created = create(call, name, ranks, rank, settings, deadline, communicator);
        table.take_name_away();
        return created;
    }
    while (true) {
        CommunicatorName name;
        if (table.find_name(&name)) {
            const Outcome created = create(call, name, ranks, rank, settings, deadline, communicator);
            // The name of a process that is gone is an older one.
            if (created.fault != Fault::peer_lost) return created;
        }
        if (std::chrono::steady_clock::now() >= deadline) {
            return Outcome::failed(Fault::timed_out, "not all ranks came in time");
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
}

} // namespace

extern "C" {

EMULATED_API HcclResult HcclGetRootInfo(HcclRootInfo *root_info) {
    AscendCall call("HcclGetRootInfo", Needs::context);
    if (call.ends()) return call.end_hccl(call.outcome);
    if (root_info == nullptr) return call.end_hccl(Fault::invalid_argument, "the answer has no place");
    std::memset(root_info, 0, sizeof *root_info);
    const auto bytes = CommunicatorName::make().bytes();
    std::memcpy(root_info->internal, bytes.data(), bytes.size());
    return call.end_hccl(call.outcome);
}

EMULATED_API HcclResult HcclCommInitRootInfo(uint32_t ranks, const HcclRootInfo *root_info, uint32_t rank,
                                             HcclComm *communicator) {
    AscendCall call("HcclCommInitRootInfo", Needs::context);
    if (call.ends()) return call.end_hccl(call.outcome);
    return create_by_root(call, ranks, root_info, rank, {}, communicator);
}

EMULATED_API HcclResult HcclCommInitRootInfoConfig(uint32_t ranks, const HcclRootInfo *root_info, uint32_t rank,
                                                   const HcclCommConfig *config, HcclComm *communicator) {
    AscendCall call("HcclCommInitRootInfoConfig", Needs::context);
    if (call.ends()) return call.end_hccl(call.outcome);
    Settings settings;
    const Outcome is_read = read(call, config, &settings);
    if (!is_read.ok()) return call.end_hccl(is_read);
    return create_by_root(call, ranks, root_info, rank, settings, communicator);
}

EMULATED_API HcclResult HcclCommInitClusterInfo(const char *rank_table, uint32_t rank, HcclComm *communicator) {
    AscendCall call("HcclCommInitClusterInfo", Needs::context);
    if (call.ends()) return call.end_hccl(call.outcome);
    return call.end_hccl(create_by_table(call, rank_table, rank, {}, communicator));
}

EMULATED_API HcclResult HcclCommInitClusterInfoConfig(const char *rank_table, uint32_t rank, HcclCommConfig *config,
                                                      HcclComm *communicator) {
    AscendCall call("HcclCommInitClusterInfoConfig", Needs::context);
    if (call.ends()) return call.end_hccl(call.outcome);
    Settings settings;
    const Outcome is_read = read(call, config, &settings);
    if (!is_read.ok()) return call.end_hccl(is_read);
    return call.end_hccl(create_by_table(call, rank_table, rank, settings, communicator));
}

// Ends a call that is setting up links; while work runs it is in use.
EMULATED_API HcclResult HcclCommDestroy(HcclComm handle) {
    AscendCall call("HcclCommDestroy", Needs::context);
    if (call.ends()) return call.end_hccl(call.outcome);
    std::shared_ptr<EndNote> note;
    const Outcome found = Ends::all().of(call, handle, &note);
    if (!found.ok()) return call.end_hccl(found);
    if (note->linking > 0) {
        note->communicator->abort();
    } else if (note->communicator->is_busy()) {
        return call.end_hccl(Fault::in_use, "work of the communicator is not over");
    } else {
        note->communicator->finish();
    }
    Ends::all().remove(handle);
    return call.end_hccl(call.outcome);
}

} // extern "C"

namespace {

template <class Answer, class Ask>
HcclResult answer(AscendCall &call, HcclComm handle, Answer *answer, Ask ask) {
    if (call.ends()) return call.end_hccl(call.outcome);
    if (answer == nullptr) return call.end_hccl(Fault::invalid_argument, "the answer has no place");
    std::shared_ptr<EndNote> note;
    const Outcome found = Ends::all().of(call, handle, &note);
    if (found.ok()) ask(*note);
    return call.end_hccl(found);
}

} // namespace

extern "C" {

EMULATED_API HcclResult HcclGetRankSize(HcclComm communicator, uint32_t *size) {
    AscendCall call("HcclGetRankSize", Needs::library);
    return answer(call, communicator, size,
                  [&](EndNote &note) { *size = static_cast<uint32_t>(note.communicator->ranks()); });
}

EMULATED_API HcclResult HcclGetRankId(HcclComm communicator, uint32_t *rank) {
    AscendCall call("HcclGetRankId", Needs::library);
    return answer(call, communicator, rank,
                  [&](EndNote &note) { *rank = static_cast<uint32_t>(note.communicator->rank()); });
}

EMULATED_API HcclResult HcclGetCommName(HcclComm communicator, char *name) {
    AscendCall call("HcclGetCommName", Needs::library);
    return answer(call, communicator, name, [&](EndNote &note) {
        std::memset(name, 0, NAME_BYTES);
        note.name.copy(name, NAME_BYTES - 1);
    });
}

// Failures of network cards only, and here there are none: a rank that is lost shows on streams.
EMULATED_API HcclResult HcclGetCommAsyncError(HcclComm communicator, HcclResult *error) {
    AscendCall call("HcclGetCommAsyncError", Needs::library);
    return answer(call, communicator, error, [&](EndNote &) { *error = HCCL_SUCCESS; });
}

EMULATED_API HcclResult HcclCommSuspend(HcclComm communicator) {
    AscendCall call("HcclCommSuspend", Needs::context);
    return answer(call, communicator, &call, [](EndNote &note) { note.suspended = true; });
}

EMULATED_API HcclResult HcclCommResume(HcclComm communicator) {
    AscendCall call("HcclCommResume", Needs::context);
    return answer(call, communicator, &call, [](EndNote &note) { note.suspended = false; });
}

EMULATED_API uint32_t HcclGetCommConfigCapability(void) {
    const Call call("HcclGetCommConfigCapability", true);
    // A number without a status: a library that knows none of the fields.
    return call.ordered().fail ? 0 : CAPABILITY;
}

EMULATED_API const char *HcclGetErrorString(HcclResult code) {
    const Call call("HcclGetErrorString", true);
    if (call.ordered().fail) return nullptr;
    switch (code) {
    case HCCL_SUCCESS: return "no error (emulated)";
    case HCCL_E_PARA: return "parameter error (emulated)";
    case HCCL_E_PTR: return "empty pointer (emulated)";
    case HCCL_E_MEMORY: return "memory error (emulated)";
    case HCCL_E_NOT_SUPPORT: return "feature is not supported (emulated)";
    case HCCL_E_TIMEOUT: return "timeout (emulated)";
    case HCCL_E_RUNTIME: return "call runtime api failed (emulated)";
    case HCCL_E_AGAIN: return "try again (emulated)";
    case HCCL_E_REMOTE: return "error cqe of the network card (emulated)";
    case HCCL_E_SUSPENDING: return "communicator is suspended (emulated)";
    case HCCL_E_OOM: return "out of memory (emulated)";
    default: return "another error (emulated)";
    }
}

} // extern "C"
