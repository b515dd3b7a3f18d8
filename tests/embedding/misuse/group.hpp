// A group of ranks in one process on a backend, as the cases need it: sessions with weights, connected or
// not, and a coordinator.
#pragma once

#include <eplb.hpp>

namespace misuse {

constexpr std::chrono::seconds LIMIT(30);
constexpr std::uint32_t LIMIT_MS = 30000;

// A layer's slots hold the number of their expert in every byte.
struct Group {
    static constexpr std::uint32_t LAYERS = 2, EXPERTS = 4, RANKS = 2, SLOTS = 3;
    static constexpr std::size_t BYTES = 256;

    explicit Group(eplb::Backend opened = eplb::Backend("host", RANKS), const char *executor = "")
        : config(std::string("enable_eplb = true\nep_size = 2\n[manager]\nwindow_samples = 2\n"
                             "update_interval_steps = 4\nwindows_kept = 1\n[policy]\nname = \"xllm\"\n") +
                 executor),
          model(eplb::model(LAYERS, EXPERTS)), topology(config, EXPERTS),
          placement(config, model, topology), backend(std::move(opened)) {
        for (std::uint32_t rank = 0; rank < RANKS; ++rank) {
            devices.emplace_back(backend, rank);
            streams.emplace_back(devices[rank]);
            weights.push_back(load_weights(rank));
        }
    }

    eplb_session_options options(std::uint32_t rank) const {
        auto options = eplb::sized<eplb_session_options>();
        options.config = config.get();
        options.placement = placement.get();
        options.device = devices[rank].get();
        options.stream = streams[rank].get();
        options.weights = weights[rank].get();
        options.rank = rank;
        options.communicator = rank < communicators.size() ? communicators[rank].get() : nullptr;
        return options;
    }

    // Makes the communicator that sessions are lent.
    void lend_communicators() {
        const auto name = eplb::Communicator::name(devices[0]);
        for (std::uint32_t rank = 0; rank < RANKS; ++rank) {
            communicators.emplace_back(devices[rank], name, rank, RANKS);
        }
    }

    void open() {
        for (std::uint32_t rank = 0; rank < RANKS; ++rank) {
            sessions.emplace_back(options(rank));
        }
    }

    void connect() {
        open();
        std::vector<std::vector<std::uint8_t>> endpoints;
        for (auto &session : sessions) {
            endpoints.push_back(session.endpoint().copy());
        }
        for (auto &session : sessions) {
            session.connect(endpoints);
        }
    }

    // One step of all ranks in which each expert gets so many tokens.
    void step(eplb::Coordinator &coordinator, std::uint64_t step,
              const std::vector<std::uint64_t> &load) {
        const auto header = coordinator.begin_step(step).copy();
        for (std::uint32_t rank = 0; rank < RANKS; ++rank) {
            auto &session = sessions[rank];
            session.begin_step(header);
            std::vector<std::uint64_t> counts;
            for (std::uint32_t layer = 0; layer < LAYERS; ++layer) {
                const auto tokens = session.divide(layer, load, topology.slots());
                counts.insert(counts.end(), tokens.begin() + rank * SLOTS,
                              tokens.begin() + (rank + 1) * SLOTS);
            }
            coordinator.accept_report(rank, session.end_step(step, counts));
        }
        // Behind all of them: what travels by rounds waits for every rank.
        for (auto &session : sessions) {
            session.settle(LIMIT);
        }
        coordinator.settle(LIMIT);
    }

    // Slots that hold other bytes than the placement says.
    std::size_t wrong_slots() const {
        std::size_t wrong = 0;
        for (std::uint32_t layer = 0; layer < LAYERS; ++layer) {
            const auto experts = sessions[0].placement().layer(layer, topology.slots());
            for (std::uint32_t slot = 0; slot < topology.slots(); ++slot) {
                const auto memory = sessions[slot / SLOTS].slot(layer, slot);
                const auto bytes = memory.read(streams[slot / SLOTS], 0, BYTES, LIMIT);
                wrong += bytes != weight(layer, experts[slot]);
            }
        }
        return wrong;
    }

    static std::vector<std::uint8_t> weight(std::uint32_t layer, std::uint32_t expert) {
        return std::vector<std::uint8_t>(BYTES, static_cast<std::uint8_t>(16 * layer + expert + 1));
    }

    eplb::Config config;
    eplb_model model;
    eplb::Topology topology;
    eplb::Placement placement;
    eplb::Backend backend;
    std::vector<eplb::Device> devices;
    std::vector<eplb::Stream> streams;
    std::vector<eplb::Weights> weights;
    std::vector<eplb::Communicator> communicators;
    std::vector<eplb::Session> sessions;

  private:
    eplb::Weights load_weights(std::uint32_t rank) const {
        eplb::Weights weights;
        for (std::uint32_t layer = 0; layer < LAYERS; ++layer) {
            const auto experts = placement.layer(layer, topology.slots());
            const eplb::Memory memory(devices[rank], SLOTS * BYTES);
            for (std::uint32_t slot = 0; slot < SLOTS; ++slot) {
                memory.write(streams[rank], slot * BYTES,
                             weight(layer, experts[rank * SLOTS + slot]), LIMIT);
            }
            weights.add_tensor(layer, "weights", memory, BYTES, BYTES);
        }
        return weights;
    }
};

} // namespace misuse
