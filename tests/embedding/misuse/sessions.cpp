// Sessions and coordinators in the wrong order, with wrong bytes, and with weights that don't fit.
#include "case.hpp"
#include "group.hpp"

#include <thread>

namespace {

using misuse::Group;
using misuse::LIMIT_MS;

// Opens a session and frees it; gives what opening said.
eplb_status open(const eplb_session_options &options) {
    eplb_session *made = nullptr;
    const auto status = eplb_session_open(&options, &made);
    eplb_session_free(made);
    return status;
}

void refuse_open(const eplb_session_options &options, eplb_status wanted) {
    misuse::expect(open(options), wanted, "eplb_session_open(...)");
}

} // namespace

CASE("options of a session whose handles are missing, foreign or freed") {
    Group group;
    for (std::size_t field = 0; field < 5; ++field) {
        const void *const wrong[] = {nullptr, &group};
        for (const void *handle : wrong) {
            auto options = group.options(0);
            const void **const fields[] = {reinterpret_cast<const void **>(&options.config),
                                           reinterpret_cast<const void **>(&options.placement),
                                           reinterpret_cast<const void **>(&options.device),
                                           reinterpret_cast<const void **>(&options.stream),
                                           reinterpret_cast<const void **>(&options.weights)};
            *fields[field] = handle;
            refuse_open(options, handle == nullptr ? EPLB_ERROR_NULL : EPLB_ERROR_HANDLE);
        }
    }
    auto options = group.options(0);
    group.weights[0].free();
    refuse_open(options, EPLB_ERROR_FREED);
}

CASE("options of a session whose numbers are not allowed") {
    Group group;
    auto options = group.options(0);
    options.rank = Group::RANKS;
    refuse_open(options, EPLB_ERROR_ARGUMENT);
    options = group.options(0);
    options.held = 3;
    refuse_open(options, EPLB_ERROR_ARGUMENT);
    options.held = -1;
    refuse_open(options, EPLB_ERROR_ARGUMENT);
    options.held = EPLB_HELD_OTHER; // and no held_placement
    refuse_open(options, EPLB_ERROR_NULL);
}

CASE("communicators that are foreign, freed, another device's or of another size") {
    Group group;
    group.lend_communicators();
    auto options = group.options(0);
    options.communicator = reinterpret_cast<const eplb_communicator *>(&group);
    refuse_open(options, EPLB_ERROR_HANDLE);
    options.communicator = group.communicators[1].get();
    refuse_open(options, EPLB_ERROR_EXECUTOR);
    const auto name = eplb::Communicator::name(group.devices[0]);
    const eplb::Communicator larger(group.devices[0], name, 0, Group::RANKS + 1);
    options.communicator = larger.get();
    refuse_open(options, EPLB_ERROR_EXECUTOR);
    options.communicator = group.communicators[0].get();
    group.communicators[0].free();
    refuse_open(options, EPLB_ERROR_FREED);
}

CASE("experts travel by rounds of communicators that were lent") {
    Group group(eplb::Backend("host", Group::RANKS), "[executor]\ntransport = \"collective\"");
    group.lend_communicators();
    group.connect();
    // The sessions keep what they were lent.
    group.communicators.clear();
    eplb::Coordinator coordinator(group.config, group.placement);
    for (std::uint64_t step = 0; step < 16; ++step) {
        group.step(coordinator, step, {100, 100, 900, 900});
    }
    misuse::require(coordinator.counters().at("layers_committed") > 0, "nothing was committed");
    misuse::require(group.wrong_slots() == 0, "bytes are wrong");
    auto figures = group.sessions[0].figures();
    misuse::require(figures.at("collective_rounds") > 0, "no round was made");
    misuse::require(figures.at("collective_losses") == 0, "the communicator was lost");
}

CASE("slots that are to be filled without a pool") {
    Group group;
    auto options = group.options(0);
    options.held = EPLB_HELD_NOTHING;
    refuse_open(options, EPLB_ERROR_EXECUTOR);
}

CASE("weights that don't fit the model") {
    Group group;
    const eplb::Memory memory(group.devices[0], Group::SLOTS * Group::BYTES);
    auto options = group.options(0);
    const eplb::Weights none;
    options.weights = none.get();
    refuse_open(options, EPLB_ERROR_EXECUTOR);
    eplb::Weights few; // one layer of two
    few.add_tensor(0, "weights", memory, Group::BYTES, Group::BYTES);
    options.weights = few.get();
    refuse_open(options, EPLB_ERROR_EXECUTOR);
    eplb::Weights small; // the memory has no room for all slots
    small.add_tensor(0, "weights", memory, Group::BYTES, Group::BYTES);
    small.add_tensor(1, "weights", memory, 2 * Group::BYTES, Group::BYTES);
    options.weights = small.get();
    refuse_open(options, EPLB_ERROR_EXECUTOR);
}

CASE("tensors that are none, and layers out of order") {
    Group group;
    const eplb::Memory memory(group.devices[0], 1024);
    eplb::Weights weights;
    auto *handle = weights.get();
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_weights_add_tensor(handle, 1, "late", memory.get(), 64, 64));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_weights_add_tensor(handle, 0, "none", memory.get(), 64, 0));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_weights_add_tensor(handle, 0, "wide", memory.get(), 64, 65));
    EXPECT(EPLB_ERROR_NULL, eplb_weights_add_tensor(handle, 0, nullptr, memory.get(), 64, 64));
    EXPECT(EPLB_ERROR_NULL, eplb_weights_add_tensor(handle, 0, "nowhere", nullptr, 64, 64));
    EXPECT(EPLB_ERROR_TEXT, eplb_weights_add_tensor(handle, 0, "\xff", memory.get(), 64, 64));
    EXPECT(EPLB_OK, eplb_weights_add_tensor(handle, 0, "twice", memory.get(), 64, 64));
    EXPECT(EPLB_OK, eplb_weights_add_tensor(handle, 0, "twice", memory.get(), 64, 64));
    EXPECT(EPLB_OK, eplb_weights_add_tensor(handle, 1, "once", memory.get(), 64, 64));
    auto options = group.options(0);
    options.weights = handle;
    refuse_open(options, EPLB_ERROR_EXECUTOR); // two tensors of one name
}

CASE("a session that is not connected yet") {
    Group group;
    group.open();
    auto *session = group.sessions[0].get();
    eplb_bytes bytes{};
    auto routing = eplb::sized<eplb_routing>();
    std::uint64_t numbers[8] = {};
    std::uint64_t figure = 0;
    eplb_memory *memory = nullptr;
    eplb_placement *placement = nullptr;
    EXPECT(EPLB_ERROR_STATE, eplb_session_begin_step(session, "header", 6));
    EXPECT(EPLB_ERROR_STATE, eplb_session_end_step(session, nullptr, nullptr, &bytes));
    EXPECT(EPLB_ERROR_STATE, eplb_session_collect(session, EPLB_PHASE_DECODE));
    EXPECT(EPLB_ERROR_STATE, eplb_session_routing(session, 0, &routing));
    EXPECT(EPLB_ERROR_STATE, eplb_session_divide(session, 0, numbers, 4, numbers, 6));
    EXPECT(EPLB_ERROR_STATE, eplb_session_slot(session, 0, 0, 0, &memory));
    EXPECT(EPLB_ERROR_STATE, eplb_session_epochs(session, numbers, 2));
    EXPECT(EPLB_ERROR_STATE, eplb_session_placement(session, &placement));
    EXPECT(EPLB_ERROR_STATE, eplb_session_settle(session, 1));
    EXPECT(EPLB_ERROR_STATE, eplb_session_figure(session, "layers_committed", &figure));
    EXPECT(EPLB_OK, eplb_session_endpoint(session, &bytes));
}

CASE("endpoints of another number, missing, damaged, and the session after that") {
    Group group;
    group.open();
    auto *session = group.sessions[0].get();
    auto damaged = group.sessions[1].endpoint().copy();
    damaged.resize(damaged.size() / 2);
    eplb_bytes endpoints[2] = {{nullptr, 0}, {damaged.data(), damaged.size()}};
    EXPECT(EPLB_ERROR_LENGTH, eplb_session_connect(session, endpoints, 1));
    EXPECT(EPLB_ERROR_NULL, eplb_session_connect(session, nullptr, 2));
    endpoints[1].data = nullptr;
    EXPECT(EPLB_ERROR_NULL, eplb_session_connect(session, endpoints, 2));
    endpoints[1].data = damaged.data();
    EXPECT(EPLB_ERROR_EXECUTOR, eplb_session_connect(session, endpoints, 2));
    EXPECT(EPLB_ERROR_BROKEN, eplb_session_connect(session, endpoints, 2));
    EXPECT(EPLB_ERROR_BROKEN, eplb_session_settle(session, LIMIT_MS));
}

CASE("a session that is connected twice") {
    Group group;
    group.connect();
    const eplb_bytes endpoints[2] = {{nullptr, 0}, {nullptr, 0}};
    EXPECT(EPLB_ERROR_STATE, eplb_session_connect(group.sessions[0].get(), endpoints, 2));
    EXPECT(EPLB_OK, eplb_session_settle(group.sessions[0].get(), LIMIT_MS));
}

CASE("bytes that are no header, and a header of another group") {
    Group group;
    group.connect();
    auto *session = group.sessions[0].get();
    EXPECT(EPLB_ERROR_HEADER, eplb_session_begin_step(session, "no header", 9));
    EXPECT(EPLB_ERROR_HEADER, eplb_session_begin_step(session, nullptr, 0));
    EXPECT(EPLB_ERROR_NULL, eplb_session_begin_step(session, nullptr, 9));
    eplb::Coordinator coordinator(group.config, group.placement);
    auto header = coordinator.begin_step(0).copy();
    header.back() ^= 0x55;
    EXPECT(EPLB_ERROR_HEADER, eplb_session_begin_step(session, header.data(), header.size()));
    // Another placement: other epochs and digests.
    const eplb::Config larger("enable_eplb = true\nep_size = 2");
    const auto model = eplb::model(5, Group::EXPERTS);
    const eplb::Placement other(larger, model, group.topology);
    eplb::Coordinator stranger(larger, other);
    const auto strange = stranger.begin_step(0).copy();
    EXPECT(EPLB_ERROR_STEP_REFUSED, eplb_session_begin_step(session, strange.data(), strange.size()));
}

CASE("bytes that are no report, and a sender that is no rank") {
    Group group;
    eplb::Coordinator coordinator(group.config, group.placement);
    auto *handle = coordinator.get();
    EXPECT(EPLB_ERROR_REPORT, eplb_coordinator_accept_report(handle, 0, "no report", 9));
    EXPECT(EPLB_ERROR_REPORT, eplb_coordinator_accept_report(handle, 0, nullptr, 0));
    EXPECT(EPLB_ERROR_NULL, eplb_coordinator_accept_report(handle, 0, nullptr, 9));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_coordinator_accept_report(handle, Group::RANKS, "", 0));
    EXPECT(EPLB_ERROR_LENGTH, eplb_coordinator_accept_report(handle, 0, "x", SIZE_MAX));
}

CASE("steps that do not rise") {
    Group group;
    eplb::Coordinator coordinator(group.config, group.placement);
    eplb_bytes header{};
    EXPECT(EPLB_OK, eplb_coordinator_begin_step(coordinator.get(), 5, 1, &header));
    EXPECT(EPLB_OK, eplb_coordinator_begin_step(coordinator.get(), 5, 1, &header));
    EXPECT(EPLB_ERROR_STEP_ORDER, eplb_coordinator_begin_step(coordinator.get(), 4, 1, &header));
    EXPECT(EPLB_ERROR_NULL, eplb_coordinator_begin_step(coordinator.get(), 6, 1, nullptr));
    EXPECT(EPLB_OK, eplb_coordinator_begin_step(coordinator.get(), 6, 1, &header));
}

CASE("counts of another number, of a span that is none, in a form that is none") {
    Group group;
    group.connect();
    auto *session = group.sessions[0].get();
    const std::vector<std::uint64_t> counts(Group::LAYERS * Group::SLOTS, 1);
    eplb_bytes report{};
    auto load = eplb::sized<eplb_load>();
    load.counts = counts.data();
    load.count = counts.size() - 1;
    EXPECT(EPLB_ERROR_LENGTH, eplb_session_end_step(session, &load, nullptr, &report));
    load.count = counts.size();
    load.first_step = 1;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_end_step(session, &load, nullptr, &report));
    load.first_step = 0;
    load.form = 2;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_end_step(session, &load, nullptr, &report));
    load.form = 0;
    load.phase = -1;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_end_step(session, &load, nullptr, &report));
    load.phase = 0;
    load.counts = nullptr;
    EXPECT(EPLB_ERROR_NULL, eplb_session_end_step(session, &load, nullptr, &report));
    EXPECT(EPLB_ERROR_NULL, eplb_session_end_step(session, nullptr, nullptr, nullptr));
    misuse::require(report.data == nullptr, "a report was given");
}

CASE("layers, slots, tensors and lengths that a session has not") {
    Group group;
    group.connect();
    auto *session = group.sessions[0].get();
    std::uint64_t tokens[4] = {1, 2, 3, 4};
    std::uint64_t slots[6] = {};
    std::uint32_t buffers[3] = {};
    auto routing = eplb::sized<eplb_routing>();
    eplb_memory *memory = nullptr;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_routing(session, Group::LAYERS, &routing));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_divide(session, Group::LAYERS, tokens, 4, slots, 6));
    EXPECT(EPLB_ERROR_LENGTH, eplb_session_divide(session, 0, tokens, 3, slots, 6));
    EXPECT(EPLB_ERROR_LENGTH, eplb_session_divide(session, 0, tokens, 4, slots, 5));
    tokens[0] = UINT64_MAX;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_divide(session, 0, tokens, 4, slots, 6));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_slot(session, Group::LAYERS, 0, 0, &memory));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_slot(session, 0, Group::SLOTS, 0, &memory)); // of rank 1
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_slot(session, 0, UINT32_MAX, 0, &memory));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_slot(session, 0, 0, 1, &memory)); // one tensor alone
    EXPECT(EPLB_ERROR_LENGTH, eplb_session_slot_buffers(session, 0, buffers, 2));
    EXPECT(EPLB_ERROR_LENGTH, eplb_session_epochs(session, slots, 3));
    EXPECT(EPLB_ERROR_NULL, eplb_session_epochs(session, nullptr, 2));
}

CASE("tables on the device and counters that were not asked for") {
    Group group;
    group.connect();
    auto *session = group.sessions[0].get();
    auto routing = eplb::sized<eplb_device_routing>();
    EXPECT(EPLB_ERROR_STATE, eplb_session_device_routing(session, 0, &routing));
    EXPECT(EPLB_ERROR_NO_COUNTERS, eplb_session_collect(session, EPLB_PHASE_MIXED));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_collect(session, 3));
}

CASE("counters that don't fit") {
    Group group;
    const eplb::Memory memory(group.devices[0], 8 * Group::SLOTS); // one layer of two
    const eplb::Memory elsewhere(group.devices[1], 1024);
    auto counters = eplb::sized<eplb_load_counters>();
    counters.width = EPLB_COUNTERS_INT64;
    auto options = group.options(0);
    options.counters = &counters;
    refuse_open(options, EPLB_ERROR_NULL);
    counters.memory = memory.get();
    counters.width = 5;
    refuse_open(options, EPLB_ERROR_ARGUMENT);
    counters.width = EPLB_COUNTERS_INT64;
    counters.life = 9;
    refuse_open(options, EPLB_ERROR_ARGUMENT);
    counters.life = EPLB_COUNTERS_RISING;
    counters.form = -2;
    refuse_open(options, EPLB_ERROR_ARGUMENT);
    counters.form = EPLB_COUNTS_PLAIN;
    // What they have to fit is known when the session is connected.
    for (const auto *lent : {&memory, &elsewhere}) {
        counters.memory = lent->get();
        eplb::Session session(options);
        const eplb::Session peer(group.options(1));
        eplb_bytes endpoints[2] = {};
        EXPECT(EPLB_OK, eplb_session_endpoint(peer.get(), &endpoints[1]));
        EXPECT(EPLB_ERROR_LOAD, eplb_session_connect(session.get(), endpoints, 2));
        EXPECT(EPLB_ERROR_BROKEN, eplb_session_collect(session.get(), EPLB_PHASE_MIXED));
    }
}

CASE("load of a step that this rank does not run") {
    Group group;
    const eplb::Memory memory(group.devices[0], 8 * Group::SLOTS * Group::LAYERS);
    auto counters = eplb::sized<eplb_load_counters>();
    counters.width = EPLB_COUNTERS_INT64;
    counters.memory = memory.get();
    auto options = group.options(0);
    options.counters = &counters;
    eplb::Session session(options);
    const eplb::Session peer(group.options(1));
    eplb_bytes endpoints[2] = {};
    EXPECT(EPLB_OK, eplb_session_endpoint(peer.get(), &endpoints[1]));
    EXPECT(EPLB_OK, eplb_session_connect(session.get(), endpoints, 2));
    EXPECT(EPLB_ERROR_NOT_RUNNING, eplb_session_collect(session.get(), EPLB_PHASE_MIXED));
}

CASE("figures and counters of names that are none") {
    Group group;
    group.connect();
    eplb::Coordinator coordinator(group.config, group.placement);
    std::uint64_t value = 7;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_coordinator_counter(coordinator.get(), "layers_comitted", &value));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_session_figure(group.sessions[0].get(), "", &value));
    EXPECT(EPLB_ERROR_NULL, eplb_session_figure(group.sessions[0].get(), nullptr, &value));
    EXPECT(EPLB_ERROR_NULL, eplb_coordinator_counter(coordinator.get(), "steps", nullptr));
    misuse::require(value == 7, "a result was written");
}

CASE("a coordinator on a rank that is none, carried in a way that is none") {
    Group group;
    auto options = eplb::sized<eplb_coordinator_options>();
    eplb_coordinator *made = nullptr;
    options.carriage = 2;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_coordinator_start(group.config.get(), group.placement.get(),
                                                       &options, &made));
    options.carriage = EPLB_CARRIAGE_SPMD;
    options.own_rank = Group::RANKS;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_coordinator_start(group.config.get(), group.placement.get(),
                                                       &options, &made));
}

CASE("a coordinator of a configuration that is not allowed") {
    Group group;
    group.config.set("cluster.nodes", 7);
    eplb_coordinator *made = nullptr;
    EXPECT(EPLB_ERROR_CONFIG, eplb_coordinator_start(group.config.get(), group.placement.get(),
                                                     nullptr, &made));
    refuse_open(group.options(0), EPLB_ERROR_CONFIG);
}

CASE("profiles that are not there") {
    Group group;
    eplb::Coordinator coordinator(group.config, group.placement);
    eplb_bytes profile{};
    EXPECT(EPLB_ERROR_PROFILE, eplb_coordinator_profile(coordinator.get(), &profile));
    group.config.set("manager.profile", "/nowhere/profile.json");
    eplb_placement *made = nullptr;
    EXPECT(EPLB_ERROR_PROFILE, eplb_placement_create(group.config.get(), &group.model,
                                                     group.topology.get(), &made));
}

CASE("the last error is the thread's own") {
    Group group;
    EXPECT(EPLB_ERROR_NULL, eplb_config_create(nullptr));
    std::thread([] {
        misuse::require(eplb_last_error_code() == EPLB_OK, "another thread's number");
        misuse::require(*eplb_last_error() == '\0', "another thread's text");
    }).join();
    EXPECT(EPLB_OK, eplb_config_check(group.config.get()));
    misuse::require(eplb_last_error_code() == EPLB_ERROR_NULL, "a success took the last error away");
}
