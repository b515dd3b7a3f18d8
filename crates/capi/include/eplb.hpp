// Expert-parallel load balancing for C++17: eplb.h with owners for handles and exceptions for errors.
//
// Every class owns one handle: it can be moved, not copied, and frees the handle when it goes, without
// ever throwing. Functions have the names, the meaning and the rules of eplb.h, whose texts are not
// repeated here; `get()` gives the handle for functions that have no form of their own. A failure is
// thrown as eplb::Error. Callbacks may throw: that ends the visit, and is thrown on to the caller.
#ifndef EPLB_HPP
#define EPLB_HPP

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "eplb.h"
#include "eplb_handle.hpp"

namespace eplb {

class Config : public detail::Owner<eplb_config, eplb_config_free> {
  public:
    Config() { check(eplb_config_create(&raw_)); }
    explicit Config(const std::string &toml, const std::string &origin = "configuration") {
        check(eplb_config_parse(toml.c_str(), origin.c_str(), &raw_));
    }

    Config &set(const std::string &key, bool value) {
        check(eplb_config_set_bool(raw_, key.c_str(), value));
        return *this;
    }
    Config &set(const std::string &key, std::int64_t value) {
        check(eplb_config_set_integer(raw_, key.c_str(), value));
        return *this;
    }
    Config &set(const std::string &key, int value) {
        return set(key, static_cast<std::int64_t>(value));
    }
    Config &set(const std::string &key, double value) {
        check(eplb_config_set_number(raw_, key.c_str(), value));
        return *this;
    }
    Config &set(const std::string &key, const std::string &value) {
        check(eplb_config_set_text(raw_, key.c_str(), value.c_str()));
        return *this;
    }
    Config &set(const std::string &key, const char *value) { return set(key, std::string(value)); }

    void check_values() const { check(eplb_config_check(raw_)); }
    std::string text() {
        eplb_bytes toml{};
        check(eplb_config_text(raw_, &toml));
        return detail::text(toml);
    }
};

inline eplb_model model(std::uint32_t layers, std::uint32_t experts, std::uint32_t groups = 1) {
    auto model = sized<eplb_model>();
    model.layers = layers;
    model.experts = experts;
    model.groups = groups;
    return model;
}

class Topology : public detail::Owner<eplb_topology, eplb_topology_free> {
  public:
    Topology(const Config &config, std::uint32_t experts) {
        check(eplb_topology_create(config.get(), experts, &raw_));
    }
    explicit Topology(const std::vector<eplb_rank> &ranks) {
        check(eplb_topology_create_of(ranks.data(), ranks.size(), &raw_));
    }

    struct Range {
        std::uint32_t first;
        std::uint32_t count;
    };
    std::uint32_t ranks() const {
        std::uint32_t ranks = 0;
        check(eplb_topology_size(raw_, &ranks, nullptr));
        return ranks;
    }
    std::uint32_t slots() const {
        std::uint32_t slots = 0;
        check(eplb_topology_size(raw_, nullptr, &slots));
        return slots;
    }
    Range slots_of(std::uint32_t rank) const {
        Range range{};
        check(eplb_topology_slots_of(raw_, rank, &range.first, &range.count));
        return range;
    }
};

class Placement : public detail::Owner<eplb_placement, eplb_placement_free> {
  public:
    Placement(const Config &config, const eplb_model &model, const Topology &topology) {
        check(eplb_placement_create(config.get(), &model, topology.get(), &raw_));
    }
    Placement(const eplb_model &model, const Topology &topology, View<std::uint32_t> experts) {
        check(eplb_placement_create_of(&model, topology.get(), experts.data(), experts.size(), &raw_));
    }
    // Takes over a handle.
    explicit Placement(eplb_placement *raw) noexcept : Owner(raw) {}

    // The expert of each of the slots of all ranks, of which the topology tells the number.
    std::vector<std::uint32_t> layer(std::uint32_t layer, std::uint32_t slots) const {
        std::vector<std::uint32_t> experts(slots);
        check(eplb_placement_layer(raw_, layer, experts.data(), experts.size(), nullptr));
        return experts;
    }
    double balancedness(std::uint32_t layer, View<std::uint64_t> loads) const {
        double balancedness = 0;
        check(eplb_placement_balancedness(raw_, layer, loads.data(), loads.size(), &balancedness));
        return balancedness;
    }
};

// A routing table, as long as its owner keeps it.
class Routing {
  public:
    explicit Routing(const eplb_routing &table) noexcept : table_(table) {}

    std::uint64_t epoch() const noexcept { return table_.epoch; }
    std::uint32_t experts() const noexcept { return table_.experts; }
    View<std::uint32_t> offsets() const noexcept { return {table_.offsets, table_.experts + 1u}; }
    View<std::uint32_t> slots() const noexcept { return {table_.slots, table_.entries}; }
    View<std::uint16_t> shares() const noexcept { return {table_.shares, table_.entries}; }
    View<std::uint32_t> slots_of(std::uint32_t expert) const noexcept {
        return {table_.slots + table_.offsets[expert], entries_of(expert)};
    }
    View<std::uint16_t> shares_of(std::uint32_t expert) const noexcept {
        return {table_.shares + table_.offsets[expert], entries_of(expert)};
    }

  private:
    std::size_t entries_of(std::uint32_t expert) const noexcept {
        return table_.offsets[expert + 1] - table_.offsets[expert];
    }
    eplb_routing table_;
};

class Plan : public detail::Owner<eplb_plan, eplb_plan_free> {
  public:
    explicit Plan(const eplb_plan_request &request) { check(eplb_plan_create(&request, &raw_)); }

    // All layers, from load windows: windows x layers x experts, the oldest first.
    Plan(const Config &config, const eplb_model &model, const Topology &topology,
         View<std::uint64_t> loads, std::size_t windows, const Placement *present = nullptr) {
        if (loads.size() != windows * model.layers * model.experts) {
            throw Error(EPLB_ERROR_LENGTH, "eplb::Plan: loads are not windows x layers x experts");
        }
        auto request = sized<eplb_plan_request>();
        request.config = config.get();
        request.topology = topology.get();
        request.model = &model;
        request.loads = loads.data();
        request.windows = windows;
        request.present = present == nullptr ? nullptr : present->get();
        check(eplb_plan_create(&request, &raw_));
    }

    std::size_t layers() const {
        std::size_t count = 0;
        check(eplb_plan_layers(raw_, &count));
        return count;
    }
    eplb_layer_plan layer(std::size_t index) const {
        auto layer = sized<eplb_layer_plan>();
        check(eplb_plan_layer(raw_, index, &layer));
        return layer;
    }
    Placement placement() const {
        eplb_placement *placement = nullptr;
        check(eplb_plan_placement(raw_, &placement));
        return Placement(placement);
    }
    Routing routing(std::size_t index) const {
        auto table = sized<eplb_routing>();
        check(eplb_plan_routing(raw_, index, &table));
        return Routing(table);
    }
};

class Backend : public detail::Owner<eplb_backend, eplb_backend_free> {
  public:
    explicit Backend(const std::string &name, std::uint32_t devices = 1) {
        check(eplb_backend_open(name.c_str(), devices, nullptr, &raw_));
    }
    Backend(const std::string &name, std::uint32_t devices, const Config &config) {
        check(eplb_backend_open(name.c_str(), devices, config.get(), &raw_));
    }
    Backend(const Config &config, std::uint32_t devices) {
        check(eplb_backend_open_configured(config.get(), devices, &raw_));
    }
    explicit Backend(const eplb_device_functions &functions) {
        check(eplb_backend_create(&functions, &raw_));
    }

    std::string name() const {
        eplb_bytes name{};
        check(eplb_backend_name(raw_, &name));
        return detail::text(name);
    }
    std::uint32_t devices() const {
        std::uint32_t devices = 0;
        check(eplb_backend_devices(raw_, &devices));
        return devices;
    }
};

class Device : public detail::Owner<eplb_device, eplb_device_free> {
  public:
    Device(const Backend &backend, std::uint32_t ordinal) {
        check(eplb_device_open(backend.get(), ordinal, &raw_));
    }
    // In a context of the engine, which stays the engine's.
    Device(const Backend &backend, std::uint32_t ordinal, void *context) {
        check(eplb_device_adopt(backend.get(), ordinal, context, &raw_));
    }

    eplb_device_info describe() const {
        auto info = sized<eplb_device_info>();
        check(eplb_device_describe(raw_, &info));
        return info;
    }
    void drain(std::chrono::milliseconds limit) const {
        check(eplb_device_drain(raw_, detail::milliseconds(limit)));
    }
    void abort() const { check(eplb_device_abort(raw_)); }
};

class Stream : public detail::Owner<eplb_stream, eplb_stream_free> {
  public:
    explicit Stream(const Device &device, std::int32_t priority = EPLB_PRIORITY_HIGH) {
        check(eplb_stream_create(device.get(), priority, &raw_));
    }
    // A stream of the engine.
    static Stream borrow(const Device &device, void *handle) {
        Stream stream;
        check(eplb_stream_borrow(device.get(), handle, &stream.raw_));
        return stream;
    }

    void *handle() const {
        void *handle = nullptr;
        check(eplb_stream_handle(raw_, &handle));
        return handle;
    }
    void wait(std::chrono::milliseconds limit) const {
        check(eplb_stream_wait(raw_, detail::milliseconds(limit)));
    }

  private:
    Stream() = default;
};

// One rank's end of a communicator.
class Communicator : public detail::Owner<eplb_communicator, eplb_communicator_free> {
  public:
    // Begins to create one of `size` ranks; all of them have to, with the bytes of one rank's `name`.
    Communicator(const Device &device, Bytes name, std::uint32_t rank, std::uint32_t size,
                 std::uint64_t buffer_bytes = 0) {
        check(eplb_communicator_create(device.get(), name.data(), name.size(), rank, size, buffer_bytes, &raw_));
    }
    // A communicator of the engine.
    static Communicator borrow(const Device &device, void *handle, std::uint32_t rank, std::uint32_t size) {
        Communicator communicator;
        check(eplb_communicator_borrow(device.get(), handle, rank, size, &communicator.raw_));
        return communicator;
    }
    // The name of a new one, on one rank, for the engine to carry to all.
    static std::vector<std::uint8_t> name(Device &device) {
        eplb_bytes id{};
        check(eplb_communicator_id(device.get(), &id));
        return detail::view(id).copy();
    }

    bool is_ready() const {
        std::int32_t ready = 0;
        check(eplb_communicator_is_ready(raw_, &ready));
        return ready != 0;
    }

  private:
    Communicator() = default;
};

class Memory : public detail::Owner<eplb_memory, eplb_memory_free> {
  public:
    Memory(const Device &device, std::size_t bytes) {
        check(eplb_memory_allocate(device.get(), bytes, &raw_));
    }
    // Takes over a handle.
    explicit Memory(eplb_memory *raw) noexcept : Owner(raw) {}
    // Memory of the engine.
    static Memory borrow(const Device &device, void *address, std::size_t bytes) {
        Memory memory(nullptr);
        check(eplb_memory_borrow(device.get(), address, bytes, &memory.raw_));
        return memory;
    }

    void *address() const {
        void *address = nullptr;
        check(eplb_memory_range(raw_, &address, nullptr));
        return address;
    }
    std::size_t bytes() const {
        std::size_t bytes = 0;
        check(eplb_memory_range(raw_, nullptr, &bytes));
        return bytes;
    }
    void write(const Stream &stream, std::size_t offset, Bytes bytes,
               std::chrono::milliseconds limit) const {
        check(eplb_memory_write(raw_, stream.get(), offset, bytes.data(), bytes.size(),
                                detail::milliseconds(limit)));
    }
    std::vector<std::uint8_t> read(const Stream &stream, std::size_t offset, std::size_t size,
                                   std::chrono::milliseconds limit) const {
        std::vector<std::uint8_t> bytes(size);
        check(eplb_memory_read(raw_, stream.get(), offset, bytes.data(), size,
                               detail::milliseconds(limit)));
        return bytes;
    }
};

class Weights : public detail::Owner<eplb_weights, eplb_weights_free> {
  public:
    Weights() { check(eplb_weights_create(&raw_)); }

    Weights &add_tensor(std::uint32_t layer, const std::string &name, const Memory &memory,
                        std::size_t slot_stride, std::size_t slot_bytes) {
        check(eplb_weights_add_tensor(raw_, layer, name.c_str(), memory.get(), slot_stride,
                                      slot_bytes));
        return *this;
    }
};

// What can be said to a session beyond what it needs.
struct SessionExtras {
    bool device_routing = false;
    const eplb_load_counters *counters = nullptr;
    std::int32_t held = EPLB_HELD_ALL;
    const Placement *held_placement = nullptr;
    eplb_clock_fn clock = nullptr;
    void *user = nullptr;
    const Communicator *communicator = nullptr;
};

class Session : public detail::Owner<eplb_session, eplb_session_free> {
  public:
    explicit Session(const eplb_session_options &options) {
        check(eplb_session_open(&options, &raw_));
    }
    Session(const Config &config, std::uint32_t rank, const Placement &placement,
            const Device &device, const Stream &stream, const Weights &weights,
            const SessionExtras &extras = {}) {
        auto options = sized<eplb_session_options>();
        options.config = config.get();
        options.placement = placement.get();
        options.device = device.get();
        options.stream = stream.get();
        options.weights = weights.get();
        options.rank = rank;
        options.device_routing = extras.device_routing;
        options.counters = extras.counters;
        options.held = extras.held;
        options.held_placement =
            extras.held_placement == nullptr ? nullptr : extras.held_placement->get();
        options.clock = extras.clock;
        options.user = extras.user;
        options.communicator =
            extras.communicator == nullptr ? nullptr : extras.communicator->get();
        check(eplb_session_open(&options, &raw_));
    }

    Bytes endpoint() {
        eplb_bytes endpoint{};
        check(eplb_session_endpoint(raw_, &endpoint));
        return detail::view(endpoint);
    }
    void connect(const std::vector<std::vector<std::uint8_t>> &endpoints) {
        std::vector<eplb_bytes> views;
        for (const auto &endpoint : endpoints) {
            views.push_back(eplb_bytes{endpoint.data(), endpoint.size()});
        }
        check(eplb_session_connect(raw_, views.data(), views.size()));
    }
    // Throws an Error that refuses_step() if this rank must not run the step.
    void begin_step(Bytes header) {
        check(eplb_session_begin_step(raw_, header.data(), header.size()));
    }
    void collect(std::int32_t phase = EPLB_PHASE_MIXED) { check(eplb_session_collect(raw_, phase)); }
    // The report, until the session is used by another call that changes it.
    Bytes end_step(const eplb_load *load = nullptr, const eplb_plan_digest *digest = nullptr) {
        eplb_bytes report{};
        check(eplb_session_end_step(raw_, load, digest, &report));
        return detail::view(report);
    }
    // The same with what this rank counted in one step: layers x its slots.
    Bytes end_step(std::uint64_t step, View<std::uint64_t> counts,
                   std::int32_t form = EPLB_COUNTS_PLAIN, std::int32_t phase = EPLB_PHASE_MIXED,
                   const eplb_plan_digest *digest = nullptr) {
        auto load = sized<eplb_load>();
        load.first_step = load.last_step = step;
        load.counts = counts.data();
        load.count = counts.size();
        load.form = form;
        load.phase = phase;
        return end_step(&load, digest);
    }
    Routing routing(std::uint32_t layer) const {
        auto table = sized<eplb_routing>();
        check(eplb_session_routing(raw_, layer, &table));
        return Routing(table);
    }
    std::vector<std::uint64_t> divide(std::uint32_t layer, View<std::uint64_t> tokens,
                                      std::size_t slots) const {
        std::vector<std::uint64_t> divided(slots);
        check(eplb_session_divide(raw_, layer, tokens.data(), tokens.size(), divided.data(), slots));
        return divided;
    }
    eplb_device_routing device_routing(std::uint32_t layer) const {
        auto routing = sized<eplb_device_routing>();
        check(eplb_session_device_routing(raw_, layer, &routing));
        return routing;
    }
    Memory slot(std::uint32_t layer, std::uint32_t slot, std::uint32_t tensor = 0) const {
        eplb_memory *memory = nullptr;
        check(eplb_session_slot(raw_, layer, slot, tensor, &memory));
        return Memory(memory);
    }
    std::vector<std::uint32_t> slot_buffers(std::uint32_t layer, std::size_t local_slots) const {
        std::vector<std::uint32_t> buffers(local_slots);
        check(eplb_session_slot_buffers(raw_, layer, buffers.data(), buffers.size()));
        return buffers;
    }
    std::vector<std::uint64_t> epochs(std::size_t layers) const {
        std::vector<std::uint64_t> epochs(layers);
        check(eplb_session_epochs(raw_, epochs.data(), epochs.size()));
        return epochs;
    }
    Placement placement() const {
        eplb_placement *placement = nullptr;
        check(eplb_session_placement(raw_, &placement));
        return Placement(placement);
    }
    void settle(std::chrono::milliseconds limit) {
        check(eplb_session_settle(raw_, detail::milliseconds(limit)));
    }
    std::map<std::string, std::uint64_t> figures() const {
        std::map<std::string, std::uint64_t> figures;
        detail::visit_figures(eplb_session_figures, static_cast<const eplb_session *>(raw_),
                              [&](const char *name, std::uint64_t value) { figures[name] = value; });
        return figures;
    }
};

class Coordinator : public detail::Owner<eplb_coordinator, eplb_coordinator_free> {
  public:
    Coordinator(const Config &config, const Placement &placement,
                const eplb_coordinator_options *options = nullptr) {
        check(eplb_coordinator_start(config.get(), placement.get(), options, &raw_));
    }

    // The header, until the coordinator is used next.
    Bytes begin_step(std::uint64_t step, bool allow_changes = true) {
        eplb_bytes header{};
        check(eplb_coordinator_begin_step(raw_, step, allow_changes, &header));
        return detail::view(header);
    }
    void accept_report(std::uint32_t sender, Bytes report) {
        check(eplb_coordinator_accept_report(raw_, sender, report.data(), report.size()));
    }
    void settle(std::chrono::milliseconds limit) {
        check(eplb_coordinator_settle(raw_, detail::milliseconds(limit)));
    }
    std::optional<eplb_plan_digest> plan_digest() const {
        auto digest = sized<eplb_plan_digest>();
        std::int32_t has_digest = 0;
        check(eplb_coordinator_plan_digest(raw_, &digest, &has_digest));
        return has_digest == 0 ? std::nullopt : std::optional<eplb_plan_digest>(digest);
    }
    Placement placement() const {
        eplb_placement *placement = nullptr;
        check(eplb_coordinator_placement(raw_, &placement));
        return Placement(placement);
    }
    std::string profile() {
        eplb_bytes profile{};
        check(eplb_coordinator_profile(raw_, &profile));
        return detail::text(profile);
    }
    std::map<std::string, std::uint64_t> counters() const {
        std::map<std::string, std::uint64_t> counters;
        detail::visit_figures(eplb_coordinator_counters, static_cast<const eplb_coordinator *>(raw_),
                              [&](const char *name, std::uint64_t value) { counters[name] = value; });
        return counters;
    }
    // Calls `function(const eplb_note &note)` for what happened since the last call.
    template <typename Function> void take_notes(Function function) {
        detail::Visit<Function> visit{function};
        const auto each = [](void *user, const eplb_note *note) -> std::int32_t {
            return static_cast<detail::Visit<Function> *>(user)->template call<const eplb_note &>(*note);
        };
        visit.finish(eplb_coordinator_take_notes(raw_, each, &visit));
    }
};

// Gives the library's events to a function until it goes; there is one log for the process. What the
// function throws is dropped.
class Log {
  public:
    using Function = std::function<void(std::int32_t level, const char *target, const char *message)>;

    Log(std::int32_t level, Function function)
        : function_(std::make_unique<Function>(std::move(function))) {
        const auto each = [](void *user, std::int32_t level, const char *target,
                             const char *message) noexcept {
            try {
                (*static_cast<Function *>(user))(level, target, message);
            } catch (...) {
            }
        };
        check(eplb_log_set(level, each, function_.get()));
    }
    Log(const Log &) = delete;
    Log &operator=(const Log &) = delete;
    ~Log() { eplb_log_set(0, nullptr, nullptr); }

  private:
    std::unique_ptr<Function> function_;
};

} // namespace eplb

#endif
