// The whole cycle in C++: two ranks in one process, on the host backend or on the one that is named.
//
// c++ -std=c++17 cycle.cpp $(pkg-config --cflags --libs eplb) -o cycle && ./cycle
#include <eplb.hpp>

#include <cstdio>

constexpr std::uint32_t RANKS = 2, EXPERTS = 4, SLOTS = 3, BYTES = 4096;
constexpr std::chrono::seconds LIMIT(5);

const char *const CONFIG = "enable_eplb = true\nep_size = 2\n[manager]\nwindow_samples = 4\n"
                           "update_interval_steps = 8";

std::vector<std::uint8_t> weight(std::uint32_t expert) {
    return std::vector<std::uint8_t>(BYTES, static_cast<std::uint8_t>(expert));
}

int run(const char *backend_name) {
    const eplb::Config config(CONFIG);
    const eplb_model model = eplb::model(1, EXPERTS);
    const eplb::Topology topology(config, EXPERTS);
    const eplb::Placement placement(config, model, topology);
    const eplb::Backend backend(backend_name, RANKS);
    const auto experts = placement.layer(0, topology.slots());

    std::vector<eplb::Stream> streams;
    std::vector<eplb::Session> sessions;
    std::vector<std::vector<std::uint8_t>> endpoints;
    for (std::uint32_t rank = 0; rank < RANKS; ++rank) {
        // An engine has device, stream and weights already, and lends them.
        const eplb::Device device(backend, rank);
        streams.emplace_back(device);
        const eplb::Memory memory(device, SLOTS * BYTES);
        for (std::uint32_t slot = 0; slot < SLOTS; ++slot) {
            memory.write(streams[rank], slot * BYTES, weight(experts[rank * SLOTS + slot]), LIMIT);
        }
        eplb::Weights weights;
        weights.add_tensor(0, "weights", memory, BYTES, BYTES);
        sessions.emplace_back(config, rank, placement, device, streams[rank], weights);
        endpoints.push_back(sessions[rank].endpoint().copy());
    }
    for (auto &session : sessions) session.connect(endpoints);
    eplb::Coordinator coordinator(config, placement);

    const std::vector<std::uint64_t> load = {100, 100, 900, 900}; // tokens of each expert in a step
    for (std::uint64_t step = 0; step < 32; ++step) {
        const auto header = coordinator.begin_step(step).copy(); // travels with the step's input
        for (std::uint32_t rank = 0; rank < RANKS; ++rank) {
            auto &session = sessions[rank];
            session.begin_step(header); // switches layers over
            const auto tokens = session.divide(0, load, topology.slots()); // the dispatch kernel's part
            const auto report = session.end_step(step, {tokens.data() + rank * SLOTS, SLOTS});
            coordinator.accept_report(rank, report); // travels with the step's output
            session.settle(LIMIT); // these steps take no time of their own
        }
        coordinator.settle(LIMIT);
    }
    const auto now = sessions[0].placement().layer(0, topology.slots());
    for (std::uint32_t slot = 0; slot < topology.slots(); ++slot) {
        const auto memory = sessions[slot / SLOTS].slot(0, slot);
        if (memory.read(streams[slot / SLOTS], 0, BYTES, LIMIT) != weight(now[slot])) return 1;
    }
    std::printf("%d layer committed, %u slots verified\n",
                static_cast<int>(coordinator.counters()["layers_committed"]), topology.slots());
    return 0;
}

int main(int count, char **arguments) try {
    return run(count > 1 ? arguments[1] : "host");
} catch (const eplb::Error &error) {
    return std::fprintf(stderr, "%s: %s\n", error.name(), error.what()), 1;
}
