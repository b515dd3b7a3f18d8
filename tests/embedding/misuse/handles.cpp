// Each type of handle, wrong in each way: null, foreign, of another type, used after it was freed, and
// freed twice.
#include "case.hpp"
#include "group.hpp"

#include <initializer_list>

namespace {

using misuse::Group;

// One type of handle: how it is made, used and freed.
struct Type {
    std::string name;
    // Makes one, in a group that stays for the case.
    std::function<void *(Group &)> make;
    std::function<eplb_status(void *)> use;
    std::function<eplb_status(void *)> free;
};

template <typename Raw> Raw *as(void *handle) { return static_cast<Raw *>(handle); }

std::vector<Type> types() {
    static std::uint32_t number = 0;
    static std::size_t size = 0;
    static std::int32_t flag = 0;
    static eplb_bytes bytes{};
    return {
        {"config",
         [](Group &) {
             eplb_config *made = nullptr;
             EXPECT(EPLB_OK, eplb_config_create(&made));
             return static_cast<void *>(made);
         },
         [](void *handle) { return eplb_config_check(as<eplb_config>(handle)); },
         [](void *handle) { return eplb_config_free(as<eplb_config>(handle)); }},
        {"topology",
         [](Group &group) {
             eplb_topology *made = nullptr;
             EXPECT(EPLB_OK, eplb_topology_create(group.config.get(), Group::EXPERTS, &made));
             return static_cast<void *>(made);
         },
         [](void *handle) { return eplb_topology_size(as<eplb_topology>(handle), &number, nullptr); },
         [](void *handle) { return eplb_topology_free(as<eplb_topology>(handle)); }},
        {"placement",
         [](Group &group) {
             eplb_placement *made = nullptr;
             EXPECT(EPLB_OK, eplb_placement_create(group.config.get(), &group.model,
                                                   group.topology.get(), &made));
             return static_cast<void *>(made);
         },
         [](void *handle) {
             std::uint32_t experts[Group::RANKS * Group::SLOTS];
             return eplb_placement_layer(as<eplb_placement>(handle), 0, experts, 6, nullptr);
         },
         [](void *handle) { return eplb_placement_free(as<eplb_placement>(handle)); }},
        {"plan",
         [](Group &group) {
             const std::vector<std::uint64_t> loads(Group::LAYERS * Group::EXPERTS, 5);
             auto request = eplb::sized<eplb_plan_request>();
             request.config = group.config.get();
             request.topology = group.topology.get();
             request.model = &group.model;
             request.loads = loads.data();
             request.windows = 1;
             eplb_plan *made = nullptr;
             EXPECT(EPLB_OK, eplb_plan_create(&request, &made));
             return static_cast<void *>(made);
         },
         [](void *handle) { return eplb_plan_layers(as<eplb_plan>(handle), &size); },
         [](void *handle) { return eplb_plan_free(as<eplb_plan>(handle)); }},
        {"coordinator",
         [](Group &group) {
             eplb_coordinator *made = nullptr;
             EXPECT(EPLB_OK, eplb_coordinator_start(group.config.get(), group.placement.get(),
                                                    nullptr, &made));
             return static_cast<void *>(made);
         },
         [](void *handle) {
             return eplb_coordinator_begin_step(as<eplb_coordinator>(handle), 0, 1, &bytes);
         },
         [](void *handle) { return eplb_coordinator_free(as<eplb_coordinator>(handle)); }},
        {"backend",
         [](Group &) {
             eplb_backend *made = nullptr;
             EXPECT(EPLB_OK, eplb_backend_open("host", 1, nullptr, &made));
             return static_cast<void *>(made);
         },
         [](void *handle) { return eplb_backend_devices(as<eplb_backend>(handle), &number); },
         [](void *handle) { return eplb_backend_free(as<eplb_backend>(handle)); }},
        {"device",
         [](Group &group) {
             eplb_device *made = nullptr;
             EXPECT(EPLB_OK, eplb_device_open(group.backend.get(), 0, &made));
             return static_cast<void *>(made);
         },
         [](void *handle) { return eplb_device_drain(as<eplb_device>(handle), misuse::LIMIT_MS); },
         [](void *handle) { return eplb_device_free(as<eplb_device>(handle)); }},
        {"stream",
         [](Group &group) {
             eplb_stream *made = nullptr;
             EXPECT(EPLB_OK, eplb_stream_create(group.devices[0].get(), 0, &made));
             return static_cast<void *>(made);
         },
         [](void *handle) { return eplb_stream_wait(as<eplb_stream>(handle), misuse::LIMIT_MS); },
         [](void *handle) { return eplb_stream_free(as<eplb_stream>(handle)); }},
        {"memory",
         [](Group &group) {
             eplb_memory *made = nullptr;
             EXPECT(EPLB_OK, eplb_memory_allocate(group.devices[0].get(), 64, &made));
             return static_cast<void *>(made);
         },
         [](void *handle) { return eplb_memory_range(as<eplb_memory>(handle), nullptr, &size); },
         [](void *handle) { return eplb_memory_free(as<eplb_memory>(handle)); }},
        {"communicator",
         [](Group &group) {
             eplb_bytes id{};
             EXPECT(EPLB_OK, eplb_communicator_id(group.devices[0].get(), &id));
             eplb_communicator *made = nullptr;
             EXPECT(EPLB_OK, eplb_communicator_create(group.devices[0].get(), id.data, id.size, 0, 1,
                                                      0, &made));
             return static_cast<void *>(made);
         },
         [](void *handle) {
             return eplb_communicator_is_ready(as<eplb_communicator>(handle), &flag);
         },
         [](void *handle) { return eplb_communicator_free(as<eplb_communicator>(handle)); }},
        {"weights",
         [](Group &) {
             eplb_weights *made = nullptr;
             EXPECT(EPLB_OK, eplb_weights_create(&made));
             return static_cast<void *>(made);
         },
         [](void *handle) {
             // A session of nothing would be refused; a tensor is added with memory of its own.
             const eplb::Backend backend("host", 1);
             const eplb::Memory memory(eplb::Device(backend, 0), 64);
             return eplb_weights_add_tensor(as<eplb_weights>(handle), 0, "name", memory.get(), 8, 8);
         },
         [](void *handle) { return eplb_weights_free(as<eplb_weights>(handle)); }},
        {"session",
         [](Group &group) {
             const auto options = group.options(0);
             eplb_session *made = nullptr;
             EXPECT(EPLB_OK, eplb_session_open(&options, &made));
             return static_cast<void *>(made);
         },
         [](void *handle) { return eplb_session_endpoint(as<eplb_session>(handle), &bytes); },
         [](void *handle) { return eplb_session_free(as<eplb_session>(handle)); }},
    };
}

// The name of the function that said the last error, for `expect`.
std::string caller() {
    const std::string said = eplb_last_error();
    return said.substr(0, said.find(':')) + "()";
}

void refuse(eplb_status found, eplb_status wanted) {
    misuse::expect(found, wanted, caller().c_str());
}

void is_null(const Type &type) {
    refuse(type.use(nullptr), EPLB_ERROR_NULL);
    misuse::require(type.free(nullptr) == EPLB_OK, "freeing null is nothing to do");
}

void is_foreign(const Type &type) {
    int local = 0;
    char letters[8] = {};
    const std::uintptr_t numbers[] = {1, 3, 255, 256, UINTPTR_MAX, UINTPTR_MAX - 1,
                                      reinterpret_cast<std::uintptr_t>(&local),
                                      reinterpret_cast<std::uintptr_t>(&letters[1])};
    for (const auto number : numbers) {
        refuse(type.use(reinterpret_cast<void *>(number)), EPLB_ERROR_HANDLE);
        refuse(type.free(reinterpret_cast<void *>(number)), EPLB_ERROR_HANDLE);
    }
}

void is_mistyped(const Type &type, const Type &other) {
    Group group;
    void *const handle = other.make(group);
    refuse(type.use(handle), EPLB_ERROR_HANDLE);
    refuse(type.free(handle), EPLB_ERROR_HANDLE);
    EXPECT(EPLB_OK, other.free(handle));
}

void is_used_after_free(const Type &type) {
    Group group;
    void *const handle = type.make(group);
    misuse::require(type.use(handle) == EPLB_OK, eplb_last_error());
    misuse::require(type.free(handle) == EPLB_OK, eplb_last_error());
    refuse(type.use(handle), EPLB_ERROR_FREED);
    // Numbers do not come again: a handle that is made later is another one.
    void *const next = type.make(group);
    misuse::require(next != handle, "a number came again");
    refuse(type.use(handle), EPLB_ERROR_FREED);
    misuse::require(type.free(next) == EPLB_OK, eplb_last_error());
}

void is_freed_twice(const Type &type) {
    Group group;
    void *const handle = type.make(group);
    misuse::require(type.free(handle) == EPLB_OK, eplb_last_error());
    refuse(type.free(handle), EPLB_ERROR_FREED);
    refuse(type.free(handle), EPLB_ERROR_FREED);
}

const bool added = [] {
    const auto all = types();
    for (std::size_t index = 0; index < all.size(); ++index) {
        const auto &type = all[index];
        const auto &other = all[(index + 1) % all.size()];
        misuse::Added(type.name + " is null", [type] { is_null(type); });
        misuse::Added(type.name + " is foreign", [type] { is_foreign(type); });
        misuse::Added(type.name + " is of type " + other.name,
                      [type, other] { is_mistyped(type, other); });
        misuse::Added(type.name + " is used after free", [type] { is_used_after_free(type); });
        misuse::Added(type.name + " is freed twice", [type] { is_freed_twice(type); });
    }
    return true;
}();

} // namespace

CASE("what a handle was made from may be freed before it") {
    auto group = std::make_unique<Group>();
    group->connect();
    eplb::Coordinator coordinator(group->config, group->placement);
    group->step(coordinator, 0, {1, 2, 3, 4});
    std::vector<eplb::Session> sessions = std::move(group->sessions);
    group.reset();
    const auto header = coordinator.begin_step(1).copy();
    for (auto &session : sessions) {
        session.begin_step(header);
        session.end_step();
    }
}
