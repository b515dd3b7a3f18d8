// Numbers, names, texts and lengths that are not allowed, of all that needs no session.
#include "case.hpp"
#include "group.hpp"

#include <limits>

using misuse::Group;
using misuse::LIMIT_MS;

CASE("places for results are null") {
    Group group;
    const eplb_config *const config = group.config.get();
    EXPECT(EPLB_ERROR_NULL, eplb_config_create(nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_config_parse("", "test", nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_config_text(group.config.get(), nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_topology_create(config, 4, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_topology_slots_of(group.topology.get(), 0, nullptr, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_placement_create(config, &group.model, group.topology.get(), nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_plan_create(nullptr, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_coordinator_start(config, group.placement.get(), nullptr, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_backend_open("host", 1, nullptr, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_device_open(group.backend.get(), 0, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_stream_create(group.devices[0].get(), 0, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_memory_allocate(group.devices[0].get(), 64, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_weights_create(nullptr));
    const auto options = group.options(0);
    EXPECT(EPLB_ERROR_NULL, eplb_session_open(&options, nullptr));
}

CASE("texts are null or no UTF-8") {
    eplb_config *config = nullptr;
    EXPECT(EPLB_ERROR_NULL, eplb_config_parse(nullptr, "test", &config));
    EXPECT(EPLB_ERROR_NULL, eplb_config_parse("", nullptr, &config));
    EXPECT(EPLB_ERROR_TEXT, eplb_config_parse("# \xff\xfe", "test", &config));
    EXPECT(EPLB_ERROR_TEXT, eplb_config_parse("", "\xc3", &config));
    eplb_backend *backend = nullptr;
    EXPECT(EPLB_ERROR_NULL, eplb_backend_open(nullptr, 1, nullptr, &backend));
    EXPECT(EPLB_ERROR_TEXT, eplb_backend_open("\x80", 1, nullptr, &backend));
    misuse::require(config == nullptr && backend == nullptr, "something was made");
}

CASE("a configuration that is none") {
    eplb_config *config = nullptr;
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_parse("ep_size = ", "test", &config));
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_parse("ep_sise = 4", "test", &config));
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_parse("ep_size = \"four\"", "test", &config));
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_parse("ep_size = 0", "test", &config));
    misuse::require(std::strstr(eplb_last_error(), "ep_size = 0") != nullptr, eplb_last_error());
}

CASE("values that can't be set, and change nothing") {
    eplb::Config config;
    const std::string before = config.text();
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_set_integer(config.get(), "ep_sise", 4));
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_set_integer(config.get(), "ep_size", -1));
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_set_text(config.get(), "ep_size", "4"));
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_set_integer(config.get(), "ep_size.inner", 4));
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_set_integer(config.get(), "", 4));
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_set_bool(config.get(), "manager", 1));
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_set_text(config.get(), "executor.commit", "sideways"));
    EXPECT(EPLB_ERROR_NULL, eplb_config_set_integer(config.get(), nullptr, 4));
    EXPECT(EPLB_ERROR_NULL, eplb_config_set_text(config.get(), "policy.name", nullptr));
    EXPECT(EPLB_ERROR_TEXT, eplb_config_set_text(config.get(), "policy.name", "\xff"));
    misuse::require(config.text() == before, "a refused value was set");
}

CASE("values that can be set and are not allowed together") {
    eplb::Config config;
    config.set("ep_size", 4).set("cluster.nodes", 3);
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_check(config.get()));
    config.set("cluster.nodes", 2).set("manager.min_gain", std::numeric_limits<double>::quiet_NaN());
    EXPECT(EPLB_ERROR_CONFIG, eplb_config_check(config.get()));
    config.set("manager.min_gain", 0.25).set("enable_eplb", true).set("policy.name", "greedy");
    EXPECT(EPLB_OK, eplb_config_check(config.get()));
    eplb::Config("" + config.text()).check_values();
}

CASE("models that are none") {
    Group group;
    eplb_placement *made = nullptr;
    for (const auto &model : {eplb::model(0, 4), eplb::model(2, 0), eplb::model(5000, 4),
                              eplb::model(2, 70000), eplb::model(2, 4, 3), eplb::model(2, 4, 5)}) {
        EXPECT(EPLB_ERROR_MODEL, eplb_placement_create(group.config.get(), &model,
                                                       group.topology.get(), &made));
    }
    EXPECT(EPLB_ERROR_NULL,
           eplb_placement_create(group.config.get(), nullptr, group.topology.get(), &made));
}

CASE("more experts than slots") {
    Group group;
    const auto model = eplb::model(1, 100);
    eplb_placement *made = nullptr;
    EXPECT(EPLB_ERROR_PLACEMENT,
           eplb_placement_create(group.config.get(), &model, group.topology.get(), &made));
}

CASE("topologies that are none") {
    auto rank = eplb::sized<eplb_rank>();
    eplb_topology *made = nullptr;
    EXPECT(EPLB_ERROR_TOPOLOGY, eplb_topology_create_of(nullptr, 0, &made));
    EXPECT(EPLB_ERROR_NULL, eplb_topology_create_of(nullptr, 1, &made));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_topology_create_of(&rank, SIZE_MAX, &made));
    EXPECT(EPLB_ERROR_TOPOLOGY, eplb_topology_create_of(&rank, 1, &made)); // no slot
    rank.slots = 4;
    rank.is_dead = 1;
    EXPECT(EPLB_ERROR_TOPOLOGY, eplb_topology_create_of(&rank, 1, &made));
    rank.is_dead = 0;
    rank.node = 1;
    EXPECT(EPLB_ERROR_TOPOLOGY, eplb_topology_create_of(&rank, 1, &made)); // no node 0
    rank.node = 0;
    rank.speed = 1000001;
    EXPECT(EPLB_ERROR_TOPOLOGY, eplb_topology_create_of(&rank, 1, &made));
    rank.speed = 0;
    rank.slots = UINT32_MAX;
    EXPECT(EPLB_ERROR_TOPOLOGY, eplb_topology_create_of(&rank, 1, &made));
}

CASE("a rank that a topology has not") {
    Group group;
    std::uint32_t first = 7;
    std::uint32_t count = 7;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_topology_slots_of(group.topology.get(), 2, &first, &count));
    EXPECT(EPLB_ERROR_ARGUMENT,
           eplb_topology_slots_of(group.topology.get(), EPLB_NONE, &first, &count));
    misuse::require(first == 7 && count == 7, "a result was written");
}

CASE("tables that are no placement") {
    Group group;
    std::vector<std::uint32_t> experts = {0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 0, 1};
    const auto make = [&](std::size_t count) {
        eplb_placement *made = nullptr;
        const auto status = eplb_placement_create_of(&group.model, group.topology.get(),
                                                     experts.data(), count, &made);
        eplb_placement_free(made);
        return status;
    };
    misuse::require(make(12) == EPLB_OK, eplb_last_error());
    misuse::require(make(11) == EPLB_ERROR_LENGTH, eplb_last_error());
    misuse::require(make(0) == EPLB_ERROR_LENGTH, eplb_last_error());
    experts[3] = 4; // no such expert
    misuse::require(make(12) == EPLB_ERROR_PLACEMENT, eplb_last_error());
    experts[3] = 0; // expert 3 is nowhere
    misuse::require(make(12) == EPLB_ERROR_PLACEMENT, eplb_last_error());
}

CASE("layers and lengths that a placement has not") {
    Group group;
    std::uint32_t experts[6] = {};
    double balancedness = 0;
    const std::uint64_t loads[4] = {1, 2, 3, 4};
    const auto *placement = group.placement.get();
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_placement_layer(placement, 2, experts, 6, nullptr));
    EXPECT(EPLB_ERROR_LENGTH, eplb_placement_layer(placement, 0, experts, 5, nullptr));
    EXPECT(EPLB_ERROR_LENGTH, eplb_placement_layer(placement, 0, nullptr, 0, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_placement_layer(placement, 0, nullptr, 6, nullptr));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_placement_balancedness(placement, 2, loads, 4, &balancedness));
    EXPECT(EPLB_ERROR_LENGTH, eplb_placement_balancedness(placement, 0, loads, 3, &balancedness));
    EXPECT(EPLB_ERROR_NULL, eplb_placement_balancedness(placement, 0, loads, 4, nullptr));
}

CASE("loads whose sum is no number of tokens") {
    Group group;
    double balancedness = 0;
    const std::uint64_t absurd[4] = {UINT64_MAX, 1, 0, 0};
    const std::uint64_t negative[4] = {static_cast<std::uint64_t>(-5), 0, 0, 0};
    EXPECT(EPLB_ERROR_ARGUMENT,
           eplb_placement_balancedness(group.placement.get(), 0, absurd, 4, &balancedness));
    EXPECT(EPLB_ERROR_ARGUMENT,
           eplb_placement_balancedness(group.placement.get(), 0, negative, 4, &balancedness));
}

CASE("arrays that are misaligned or absurdly long") {
    Group group;
    double balancedness = 0;
    const std::uint64_t loads[5] = {1, 2, 3, 4, 5};
    const auto *crooked =
        reinterpret_cast<const std::uint64_t *>(reinterpret_cast<const char *>(loads) + 1);
    EXPECT(EPLB_ERROR_ARGUMENT,
           eplb_placement_balancedness(group.placement.get(), 0, crooked, 4, &balancedness));
    EXPECT(EPLB_ERROR_LENGTH,
           eplb_placement_balancedness(group.placement.get(), 0, loads, SIZE_MAX, &balancedness));
}

CASE("plans of nothing, of too much and of unknown layers") {
    Group group;
    const std::vector<std::uint64_t> loads(Group::LAYERS * Group::EXPERTS, 5);
    const float weights[1] = {-1};
    const std::uint32_t layers[1] = {Group::LAYERS};
    auto request = eplb::sized<eplb_plan_request>();
    eplb_plan *made = nullptr;
    EXPECT(EPLB_ERROR_NULL, eplb_plan_create(&request, &made));
    request.config = group.config.get();
    request.topology = group.topology.get();
    request.model = &group.model;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_plan_create(&request, &made));
    request.windows = 1;
    EXPECT(EPLB_ERROR_NULL, eplb_plan_create(&request, &made));
    request.loads = loads.data();
    request.windows = SIZE_MAX;
    EXPECT(EPLB_ERROR_LENGTH, eplb_plan_create(&request, &made));
    request.windows = 1;
    request.weights = weights;
    EXPECT(EPLB_ERROR_POLICY, eplb_plan_create(&request, &made));
    request.weights = nullptr;
    request.layers = layers;
    request.layer_count = 1;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_plan_create(&request, &made));
    const std::vector<std::uint64_t> absurd(Group::LAYERS * Group::EXPERTS, UINT64_MAX);
    request.layers = nullptr;
    request.loads = absurd.data();
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_plan_create(&request, &made));
}

CASE("a plan of some layers is no placement, and has no more layers") {
    Group group;
    const std::vector<std::uint64_t> loads(Group::LAYERS * Group::EXPERTS, 5);
    const std::uint32_t layers[1] = {1};
    auto request = eplb::sized<eplb_plan_request>();
    request.config = group.config.get();
    request.topology = group.topology.get();
    request.model = &group.model;
    request.loads = loads.data();
    request.windows = 1;
    request.layers = layers;
    request.layer_count = 1;
    const eplb::Plan plan(request);
    eplb_placement *placement = nullptr;
    EXPECT(EPLB_ERROR_PLACEMENT, eplb_plan_placement(plan.get(), &placement));
    auto layer = eplb::sized<eplb_layer_plan>();
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_plan_layer(plan.get(), 1, &layer));
    auto routing = eplb::sized<eplb_routing>();
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_plan_routing(plan.get(), SIZE_MAX, &routing));
}

CASE("backends that are none") {
    eplb_backend *made = nullptr;
    EXPECT(EPLB_ERROR_BACKEND, eplb_backend_open("rocm", 1, nullptr, &made));
    EXPECT(EPLB_ERROR_BACKEND, eplb_backend_open("", 1, nullptr, &made));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_backend_open("host", 0, nullptr, &made));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_backend_open("host", UINT32_MAX, nullptr, &made));
    const eplb::Config config("[backend]\nname = \"abacus\"");
    EXPECT(EPLB_ERROR_CONFIG, eplb_backend_open_configured(config.get(), 1, &made));
}

CASE("devices, contexts, streams and communicators that are none") {
    Group group;
    const auto *backend = group.backend.get();
    const auto *device = group.devices[0].get();
    eplb_device *made = nullptr;
    EXPECT(EPLB_ERROR_INVALID_USE, eplb_device_open(backend, Group::RANKS, &made));
    EXPECT(EPLB_ERROR_NULL, eplb_device_adopt(backend, 0, nullptr, &made));
    eplb_stream *stream = nullptr;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_stream_create(device, 2, &stream));
    EXPECT(EPLB_ERROR_NULL, eplb_stream_borrow(device, nullptr, &stream));
    eplb_communicator *communicator = nullptr;
    EXPECT(EPLB_ERROR_NULL, eplb_communicator_borrow(device, nullptr, 0, 2, &communicator));
    EXPECT(EPLB_ERROR_INVALID_USE,
           eplb_communicator_create(device, "none", 4, 2, 2, 0, &communicator)); // rank 2 of 2
    EXPECT(EPLB_ERROR_INVALID_USE, eplb_communicator_create(device, "none", 4, 0, 2, 0, &communicator));
}

CASE("memory of no bytes, and ranges that are none") {
    Group group;
    const auto *device = group.devices[0].get();
    eplb_memory *made = nullptr;
    EXPECT(EPLB_ERROR_INVALID_USE, eplb_memory_allocate(device, 0, &made));
    EXPECT(EPLB_ERROR_INVALID_USE, eplb_memory_borrow(device, nullptr, 64, &made));
    EXPECT(EPLB_ERROR_INVALID_USE, eplb_memory_borrow(device, &made, 0, &made));
    EXPECT(EPLB_ERROR_INVALID_USE, eplb_memory_borrow(device, &made, SIZE_MAX, &made));
    const eplb::Memory memory(group.devices[0], 64);
    unsigned char bytes[65] = {};
    const auto *stream = group.streams[0].get();
    EXPECT(EPLB_ERROR_INVALID_USE, eplb_memory_read(memory.get(), stream, 0, bytes, 65, LIMIT_MS));
    EXPECT(EPLB_ERROR_INVALID_USE, eplb_memory_read(memory.get(), stream, 64, bytes, 1, LIMIT_MS));
    EXPECT(EPLB_ERROR_INVALID_USE, eplb_memory_write(memory.get(), stream, SIZE_MAX, bytes, 2, LIMIT_MS));
    EXPECT(EPLB_ERROR_INVALID_USE, eplb_memory_write(memory.get(), stream, 0, bytes, 0, LIMIT_MS));
    EXPECT(EPLB_ERROR_NULL, eplb_memory_write(memory.get(), stream, 0, nullptr, 8, LIMIT_MS));
}

CASE("a stream of another device") {
    Group group;
    const eplb::Memory memory(group.devices[0], 64);
    unsigned char bytes[64] = {};
    EXPECT(EPLB_ERROR_INVALID_USE,
           eplb_memory_read(memory.get(), group.streams[1].get(), 0, bytes, 64, LIMIT_MS));
}

CASE("numbers of errors have names, and others none") {
    const auto is = [](eplb_status status, const char *name) {
        misuse::require(std::strcmp(eplb_status_name(status), name) == 0, eplb_status_name(status));
    };
    is(EPLB_OK, "EPLB_OK");
    is(EPLB_ERROR_DEVICE_FAILED, "EPLB_ERROR_DEVICE_FAILED");
    for (const eplb_status status : {-1, 13, 100, INT32_MAX, INT32_MIN}) {
        is(status, "unknown");
    }
}
