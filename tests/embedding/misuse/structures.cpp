// Structures of wrong sizes, of older and of later headers.
#include "case.hpp"
#include "group.hpp"

#include <algorithm>

namespace {

using misuse::Group;

// A structure as a later header might have it: one field more at the end.
template <typename Structure> struct Later {
    Structure known;
    std::uint64_t more;
};

// Calls with sizes that no version has, and with values of a later version.
template <typename Structure, typename Call>
void refuse_sizes(Structure structure, std::size_t least, Call call) {
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, sizeof(std::size_t), least - 1, std::size_t{1} << 17, SIZE_MAX}) {
        structure.struct_size = size;
        misuse::require(call(&structure) == EPLB_ERROR_STRUCT_SIZE,
                        "size " + std::to_string(size) + ": " + eplb_last_error());
    }
    Later<Structure> later{structure, 1};
    later.known.struct_size = sizeof later;
    misuse::require(call(&later.known) == EPLB_ERROR_STRUCT_SIZE, "a later version's value was lost");
    later.more = 0;
    misuse::require(call(&later.known) == EPLB_OK, eplb_last_error());
}

// The same of a structure that is filled in.
template <typename Structure, typename Call> void refuse_form_sizes(Call call) {
    auto structure = eplb::sized<Structure>();
    for (const std::size_t size : {std::size_t{0}, sizeof(Structure) - 1, std::size_t{1} << 17}) {
        structure.struct_size = size;
        misuse::require(call(&structure) == EPLB_ERROR_STRUCT_SIZE, eplb_last_error());
        structure.struct_size = 0;
        const auto *bytes = reinterpret_cast<const unsigned char *>(&structure);
        misuse::require(std::all_of(bytes, bytes + sizeof structure, [](auto byte) { return byte == 0; }),
                        "a refused structure was written");
    }
    Later<Structure> later{eplb::sized<Structure>(), 7};
    later.known.struct_size = sizeof later;
    misuse::require(call(&later.known) == EPLB_OK, eplb_last_error());
    misuse::require(later.more == 0 && later.known.struct_size == sizeof later,
                    "what this version does not know becomes zero");
    misuse::require(call(static_cast<Structure *>(nullptr)) == EPLB_ERROR_NULL, eplb_last_error());
}

} // namespace

CASE("sizes of eplb_model") {
    Group group;
    refuse_sizes(group.model, sizeof(eplb_model), [&](const eplb_model *model) {
        eplb_placement *made = nullptr;
        const auto status =
            eplb_placement_create(group.config.get(), model, group.topology.get(), &made);
        eplb_placement_free(made);
        return status;
    });
}

CASE("sizes of eplb_rank") {
    auto rank = eplb::sized<eplb_rank>();
    rank.slots = 2;
    refuse_sizes(rank, sizeof(eplb_rank), [&](const eplb_rank *ranks) {
        eplb_topology *made = nullptr;
        const auto status = eplb_topology_create_of(ranks, 1, &made);
        eplb_topology_free(made);
        return status;
    });
}

CASE("an array of longer ranks of a later header") {
    auto rank = eplb::sized<eplb_rank>();
    rank.slots = 2;
    Later<eplb_rank> ranks[3] = {{rank, 0}, {rank, 0}, {rank, 0}};
    for (auto &one : ranks) {
        one.known.struct_size = sizeof one;
    }
    eplb_topology *made = nullptr;
    EXPECT(EPLB_OK, eplb_topology_create_of(&ranks[0].known, 3, &made));
    std::uint32_t slots = 0;
    EXPECT(EPLB_OK, eplb_topology_size(made, nullptr, &slots));
    misuse::require(slots == 6, "the ranks lie as far apart as they are long");
    EXPECT(EPLB_OK, eplb_topology_free(made));
}

CASE("sizes of eplb_plan_request") {
    Group group;
    const std::vector<std::uint64_t> loads(Group::LAYERS * Group::EXPERTS, 5);
    auto request = eplb::sized<eplb_plan_request>();
    request.config = group.config.get();
    request.topology = group.topology.get();
    request.model = &group.model;
    request.loads = loads.data();
    request.windows = 1;
    const auto call = [&](const eplb_plan_request *asked) {
        eplb_plan *made = nullptr;
        const auto status = eplb_plan_create(asked, &made);
        eplb_plan_free(made);
        return status;
    };
    const std::size_t least = offsetof(eplb_plan_request, weights);
    refuse_sizes(request, least, call);
    request.struct_size = least;
    request.weights = reinterpret_cast<const float *>(1); // behind the end: must not be looked at
    misuse::require(call(&request) == EPLB_OK, eplb_last_error());
}

CASE("sizes of eplb_coordinator_options") {
    Group group;
    refuse_sizes(eplb::sized<eplb_coordinator_options>(), sizeof(eplb_coordinator_options),
                 [&](const eplb_coordinator_options *options) {
                     eplb_coordinator *made = nullptr;
                     const auto status = eplb_coordinator_start(
                         group.config.get(), group.placement.get(), options, &made);
                     eplb_coordinator_free(made);
                     return status;
                 });
}

CASE("sizes of eplb_session_options, and the shortest one") {
    Group group;
    auto options = group.options(1);
    const auto call = [&](const eplb_session_options *asked) {
        eplb_session *made = nullptr;
        const auto status = eplb_session_open(asked, &made);
        eplb_session_free(made);
        return status;
    };
    const std::size_t least = offsetof(eplb_session_options, counters);
    refuse_sizes(options, least, call);
    options.struct_size = least;
    options.held = 77; // behind the end: must not be looked at
    misuse::require(call(&options) == EPLB_OK, eplb_last_error());
}

CASE("sizes of eplb_load, and the shortest one") {
    Group group;
    group.connect();
    const std::vector<std::uint64_t> counts(Group::LAYERS * Group::SLOTS, 1);
    auto load = eplb::sized<eplb_load>();
    load.counts = counts.data();
    load.count = counts.size();
    const auto call = [&](const eplb_load *given) {
        eplb_bytes report{};
        return eplb_session_end_step(group.sessions[0].get(), given, nullptr, &report);
    };
    const std::size_t least = offsetof(eplb_load, form);
    refuse_sizes(load, least, call);
    load.struct_size = least;
    load.form = 77; // behind the end: must not be looked at
    misuse::require(call(&load) == EPLB_OK, eplb_last_error());
}

CASE("sizes of eplb_load_counters") {
    Group group;
    const eplb::Memory memory(group.devices[0], Group::LAYERS * Group::SLOTS * 8);
    auto counters = eplb::sized<eplb_load_counters>();
    counters.memory = memory.get();
    counters.width = EPLB_COUNTERS_INT64;
    refuse_sizes(counters, offsetof(eplb_load_counters, ring), [&](const eplb_load_counters *given) {
        auto options = group.options(0);
        options.counters = given;
        eplb_session *made = nullptr;
        const auto status = eplb_session_open(&options, &made);
        eplb_session_free(made);
        return status;
    });
}

CASE("sizes of eplb_plan_digest, given") {
    Group group;
    group.connect();
    refuse_sizes(eplb::sized<eplb_plan_digest>(), sizeof(eplb_plan_digest),
                 [&](const eplb_plan_digest *digest) {
                     eplb_bytes report{};
                     return eplb_session_end_step(group.sessions[0].get(), nullptr, digest, &report);
                 });
}

CASE("sizes of eplb_routing") {
    Group group;
    group.connect();
    refuse_form_sizes<eplb_routing>([&](eplb_routing *routing) {
        return eplb_session_routing(group.sessions[0].get(), 0, routing);
    });
}

CASE("sizes of eplb_layer_plan") {
    Group group;
    const std::vector<std::uint64_t> loads(Group::LAYERS * Group::EXPERTS, 5);
    const eplb::Plan plan(group.config, group.model, group.topology, loads, 1);
    refuse_form_sizes<eplb_layer_plan>(
        [&](eplb_layer_plan *layer) { return eplb_plan_layer(plan.get(), 0, layer); });
}

CASE("sizes of eplb_device_info") {
    Group group;
    refuse_form_sizes<eplb_device_info>([&](eplb_device_info *info) {
        return eplb_device_describe(group.devices[0].get(), info);
    });
}

CASE("sizes of eplb_device_routing") {
    Group group;
    std::vector<std::vector<std::uint8_t>> endpoints;
    for (std::uint32_t rank = 0; rank < Group::RANKS; ++rank) {
        auto options = group.options(rank);
        options.device_routing = 1;
        group.sessions.emplace_back(options);
        endpoints.push_back(group.sessions[rank].endpoint().copy());
    }
    group.sessions[0].connect(endpoints);
    refuse_form_sizes<eplb_device_routing>([&](eplb_device_routing *routing) {
        return eplb_session_device_routing(group.sessions[0].get(), 1, routing);
    });
}
