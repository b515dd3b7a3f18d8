// One rank of the engine: its device and stream, its experts' weights, and the session that it embeds.
#pragma once

#include <eplb.hpp>

#include "model.hpp"

// What all ranks and the master are set up with.
struct Setup {
    eplb::Config config;
    eplb_model shape;
    eplb::Topology topology;
    eplb::Placement placement;
    eplb::Backend backend;

    Setup(const std::string &backend_name, std::uint32_t ranks);
};

class Rank {
  public:
    Rank(const Setup &setup, std::uint32_t rank);

    std::vector<std::uint8_t> endpoint() { return session_.endpoint().copy(); }
    void connect(const std::vector<std::vector<std::uint8_t>> &endpoints);

    // Begins a step; false if this rank must not run it.
    bool begin_step(const std::vector<std::uint8_t> &header);

    // One expert's output for one token.
    struct Output {
        std::uint32_t token;
        std::uint32_t choice;
        model::State state;
    };
    // The outputs of this rank's replicas for tokens in these states.
    std::vector<Output> forward(std::uint32_t layer, std::uint64_t step, bool second_half,
                                const std::vector<model::State> &states);

    // Ends the step; the report for the coordinator.
    std::vector<std::uint8_t> end_step(std::uint64_t step, bool ran);

    // Tokens that this rank's experts computed since the last call.
    std::uint64_t take_computed() { return std::exchange(computed_, 0); }

    // Lets go of other ranks' memory; its own stays until all have.
    void let_go();

  private:
    eplb::Session open(const Setup &setup, std::uint32_t rank);
    void read_weights(std::uint32_t layer, std::uint64_t epoch);

    eplb::Topology::Range own_;
    eplb::Device device_;
    eplb::Stream stream_;
    std::vector<eplb::Memory> memory_; // of each layer: matrices, then scales
    eplb::Session session_;
    std::vector<std::uint64_t> counts_; // layers x own slots
    std::uint64_t computed_ = 0;

    // A layer's weights as a kernel would read them, of the epoch that they were read in.
    struct Weights {
        std::uint64_t epoch = UINT64_MAX;
        std::vector<std::vector<float>> matrices;
        std::vector<float> scales;
    };
    std::vector<Weights> weights_;
};
