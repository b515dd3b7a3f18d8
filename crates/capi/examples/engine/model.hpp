// A model small enough to be checked: a few MoE layers whose experts are matrices with a scale, and a
// router that prefers some experts, others in the second half of a run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace model {

constexpr std::uint32_t LAYERS = 4, EXPERTS = 16, TOP_K = 2, TOKENS = 64;
constexpr std::size_t HIDDEN = 24;
// Bytes of an expert's two tensors.
constexpr std::size_t MATRIX_BYTES = HIDDEN * HIDDEN * sizeof(float), SCALE_BYTES = sizeof(float);

using State = std::vector<float>;

inline std::uint32_t mixed(std::uint32_t left, std::uint32_t right) {
    std::uint32_t value = left * 0x9E3779B9u + right * 0x85EBCA6Bu + 0x27D4EB2Fu;
    value ^= value >> 15;
    value *= 0x2C1B3C6Du;
    return value ^ (value >> 13);
}

// A number between -0.5 and 0.5.
inline float small(std::uint32_t seed) {
    return static_cast<float>(seed % 4096) / 4096.0f - 0.5f;
}

inline std::vector<float> matrix(std::uint32_t layer, std::uint32_t expert) {
    std::vector<float> values(HIDDEN * HIDDEN);
    for (std::uint32_t index = 0; index < values.size(); ++index) {
        values[index] = small(mixed(mixed(layer, expert), index));
    }
    return values;
}

inline float scale(std::uint32_t layer, std::uint32_t expert) {
    return 0.5f + small(mixed(layer + 77, expert));
}

inline State first_state(std::uint64_t step, std::uint32_t token) {
    State state(HIDDEN);
    for (std::uint32_t index = 0; index < HIDDEN; ++index) {
        state[index] = small(mixed(mixed(static_cast<std::uint32_t>(step), token), index));
    }
    return state;
}

// The experts that a token is routed to: half of all choices fall on an eighth of the experts.
inline std::vector<std::uint32_t> route(std::uint32_t layer, std::uint64_t step, std::uint32_t token,
                                        bool second_half) {
    std::vector<std::uint32_t> experts;
    for (std::uint32_t choice = 0; choice < TOP_K; ++choice) {
        const auto draw = mixed(mixed(layer, static_cast<std::uint32_t>(step)), token * TOP_K + choice);
        const std::uint32_t hot = second_half ? EXPERTS / 2 + layer : layer;
        experts.push_back(draw % 2 == 0 ? (hot + draw / 2 % (EXPERTS / 8)) % EXPERTS
                                        : draw / 2 % EXPERTS);
    }
    return experts;
}

inline State apply(const float *matrix, float scale, const State &in) {
    State out(HIDDEN, 0.0f);
    for (std::size_t row = 0; row < HIDDEN; ++row) {
        for (std::size_t column = 0; column < HIDDEN; ++column) {
            out[row] += matrix[row * HIDDEN + column] * in[column];
        }
        out[row] *= scale;
    }
    return out;
}

// What the experts of a layer make of a token, with their outputs in the order of the choices.
inline State combined(const State &in, const std::vector<State> &outputs) {
    State out = in;
    for (const auto &output : outputs) {
        for (std::size_t index = 0; index < HIDDEN; ++index) {
            out[index] += output[index];
        }
    }
    return out;
}

} // namespace model
