// One rank of the engine.
#include "rank.hpp"

#include <cstring>
#include <stdexcept>

namespace {

constexpr std::chrono::seconds LIMIT(60);

// The slot that a token goes to: its key hits each replica in proportion to the replica's share.
std::uint32_t slot_for(const eplb::Routing &routing, std::uint32_t expert, std::uint16_t key) {
    const auto slots = routing.slots_of(expert);
    const auto shares = routing.shares_of(expert);
    std::uint32_t sum = 0;
    for (std::size_t index = 0; index + 1 < slots.size(); ++index) {
        sum += shares[index];
        if (key < sum) {
            return slots[index];
        }
    }
    return slots[slots.size() - 1];
}

template <typename Value> std::vector<std::uint8_t> bytes_of(const Value *values, std::size_t bytes) {
    std::vector<std::uint8_t> copied(bytes);
    std::memcpy(copied.data(), values, bytes);
    return copied;
}

} // namespace

Setup::Setup(const std::string &backend_name, std::uint32_t ranks)
    : config("enable_eplb = true\nredundant_experts_num = 2\n[manager]\nwindow_samples = 8\n"
             "windows_kept = 2\nupdate_interval_steps = 16"),
      shape(eplb::model(model::LAYERS, model::EXPERTS)),
      topology(config.set("ep_size", static_cast<int>(ranks)), model::EXPERTS),
      placement(config, shape, topology), backend(backend_name, ranks) {
    if (backend.devices() == 0) {
        throw std::runtime_error("no device here: " + backend_name);
    }
}

Rank::Rank(const Setup &setup, std::uint32_t rank)
    : own_(setup.topology.slots_of(rank)), device_(setup.backend, rank % setup.backend.devices()),
      stream_(device_), session_(open(setup, rank)), counts_(model::LAYERS * own_.count),
      weights_(model::LAYERS) {}

eplb::Session Rank::open(const Setup &setup, std::uint32_t rank) {
    eplb::Weights weights;
    for (std::uint32_t layer = 0; layer < model::LAYERS; ++layer) {
        const auto experts = setup.placement.layer(layer, setup.topology.slots());
        eplb::Memory matrices(device_, own_.count * model::MATRIX_BYTES);
        eplb::Memory scales(device_, own_.count * model::SCALE_BYTES);
        for (std::uint32_t slot = 0; slot < own_.count; ++slot) {
            const auto expert = experts[own_.first + slot];
            const auto matrix = model::matrix(layer, expert);
            const float scale = model::scale(layer, expert);
            matrices.write(stream_, slot * model::MATRIX_BYTES,
                           bytes_of(matrix.data(), model::MATRIX_BYTES), LIMIT);
            scales.write(stream_, slot * model::SCALE_BYTES, bytes_of(&scale, model::SCALE_BYTES),
                         LIMIT);
        }
        weights.add_tensor(layer, "matrix", matrices, model::MATRIX_BYTES, model::MATRIX_BYTES);
        weights.add_tensor(layer, "scale", scales, model::SCALE_BYTES, model::SCALE_BYTES);
        memory_.push_back(std::move(matrices));
        memory_.push_back(std::move(scales));
    }
    return eplb::Session(setup.config, rank, setup.placement, device_, stream_, weights);
}

void Rank::connect(const std::vector<std::vector<std::uint8_t>> &endpoints) {
    session_.connect(endpoints);
}

bool Rank::begin_step(const std::vector<std::uint8_t> &header) {
    try {
        session_.begin_step(header);
        return true;
    } catch (const eplb::Error &error) {
        if (error.refuses_step()) {
            return false;
        }
        throw;
    }
}

// A kernel reads device memory itself; this engine's arithmetic is the host's, so it fetches what a layer
// holds after each change.
void Rank::read_weights(std::uint32_t layer, std::uint64_t epoch) {
    auto &weights = weights_[layer];
    weights.epoch = epoch;
    weights.matrices.assign(own_.count, std::vector<float>(model::HIDDEN * model::HIDDEN));
    weights.scales.assign(own_.count, 0.0f);
    for (std::uint32_t slot = 0; slot < own_.count; ++slot) {
        const auto matrix =
            session_.slot(layer, own_.first + slot, 0).read(stream_, 0, model::MATRIX_BYTES, LIMIT);
        const auto scale =
            session_.slot(layer, own_.first + slot, 1).read(stream_, 0, model::SCALE_BYTES, LIMIT);
        std::memcpy(weights.matrices[slot].data(), matrix.data(), matrix.size());
        std::memcpy(&weights.scales[slot], scale.data(), scale.size());
    }
}

std::vector<Rank::Output> Rank::forward(std::uint32_t layer, std::uint64_t step, bool second_half,
                                        const std::vector<model::State> &states) {
    const auto routing = session_.routing(layer);
    if (weights_[layer].epoch != routing.epoch()) {
        read_weights(layer, routing.epoch());
    }
    std::vector<Output> outputs;
    for (std::uint32_t token = 0; token < states.size(); ++token) {
        const auto experts = model::route(layer, step, token, second_half);
        for (std::uint32_t choice = 0; choice < experts.size(); ++choice) {
            const auto key = static_cast<std::uint16_t>(model::mixed(token, choice));
            const auto slot = slot_for(routing, experts[choice], key);
            if (slot < own_.first || slot >= own_.first + own_.count) {
                continue;
            }
            const auto local = slot - own_.first;
            const auto &weights = weights_[layer];
            outputs.push_back({token, choice,
                               model::apply(weights.matrices[local].data(), weights.scales[local],
                                            states[token])});
            ++counts_[layer * own_.count + local];
            ++computed_;
        }
    }
    return outputs;
}

std::vector<std::uint8_t> Rank::end_step(std::uint64_t step, bool ran) {
    const auto report =
        ran ? session_.end_step(step, counts_, EPLB_COUNTS_PLAIN, EPLB_PHASE_DECODE).copy()
            : session_.end_step().copy();
    counts_.assign(counts_.size(), 0);
    return report;
}

void Rank::let_go() {
    session_.settle(LIMIT);
    session_.free();
    device_.drain(LIMIT);
}
