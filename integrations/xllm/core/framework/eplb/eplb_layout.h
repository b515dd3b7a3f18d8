// The sizes of a model under expert parallelism, and what the library makes of xLLM's settings for them.
#pragma once

#include <cstdint>
#include <eplb.hpp>
#include <vector>

#include "core/framework/eplb/eplb_options.h"

namespace xllm {

// Layers, ranks, logical experts of a layer, and slots of a rank in each layer.
struct EplbLayout {
    int32_t layer_num;
    int32_t device_num;
    int32_t experts_num;
    int32_t device_experts_num;

    // Throws std::invalid_argument for sizes below 1, or experts that don't divide over the ranks.
    EplbLayout(int32_t layer_num, int32_t device_num, int32_t experts_num,
               int32_t redundant_experts_num);

    int32_t slots() const { return device_num * device_experts_num; }

    // The table that xLLM's models are loaded with: each rank has its share of the experts, and its
    // redundant slots repeat the last of them. One layer, `slots()` entries.
    std::vector<int32_t> initial_table() const;

    eplb_model model() const;

    // The library's configuration. Throws ::eplb::Error for settings that it refuses.
    ::eplb::Config config(const EplbOptions& options) const;

    // All layers with `table`, or with a table each: `slots()` entries, or `layer_num` times as many.
    ::eplb::Placement placement(const ::eplb::Topology& topology,
                              const std::vector<int32_t>& tables) const;
};

} // namespace xllm
