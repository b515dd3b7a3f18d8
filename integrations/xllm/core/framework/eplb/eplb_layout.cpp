// The sizes of a model under expert parallelism, checked, and given to the library.
#include "core/framework/eplb/eplb_layout.h"

#include "core/framework/eplb/eplb_policy.h"
#include "core/framework/eplb/eplb_utils.h"

namespace xllm {

EplbLayout::EplbLayout(int32_t layer_num, int32_t device_num, int32_t experts_num,
                       int32_t redundant_experts_num)
    : layer_num(layer_num),
      device_num(device_num),
      experts_num(experts_num),
      device_experts_num(
          eplb::local_physical_experts_num(experts_num, device_num, redundant_experts_num)) {
    eplb::require(layer_num > 0, "layer_num", layer_num, "1 or more");
}

std::vector<int32_t> EplbLayout::initial_table() const {
    const int32_t share = experts_num / device_num;
    std::vector<int32_t> table;
    for (int32_t device = 0; device < device_num; ++device) {
        for (int32_t slot = 0; slot < device_experts_num; ++slot) {
            table.push_back(device * share + std::min(slot, share - 1));
        }
    }
    return table;
}

eplb_model EplbLayout::model() const {
    return ::eplb::model(static_cast<uint32_t>(layer_num), static_cast<uint32_t>(experts_num));
}

::eplb::Config EplbLayout::config(const EplbOptions& options) const {
    options.validate();
    ::eplb::Config config(options.library_settings, "EplbOptions::library_settings");
    config.set("enable_eplb", true);
    config.set("ep_size", device_num);
    config.set("redundant_experts_num", options.redundant_experts_num);
    config.set("eplb_update_interval", options.eplb_update_interval);
    config.set("manager.min_gain", options.eplb_min_peak_load_improvement);
    config.set("manager.prepare_timeout", static_cast<double>(options.eplb_prepare_timeout_seconds));
    // A step's command has room for one table.
    config.set("manager.layers_in_flight", 1);
    if (eplb_policy_kind_from_string(options.eplb_policy_kind) == EplbPolicyKind::BALANCED) {
        config.set("policy.name", "robust");
        // xLLM's tables name one replica for each expert and rank: there is no place for shares.
        config.set("policy.hedged_shares", false);
    } else {
        config.set("policy.name", "xllm");
    }
    config.check_values();
    return config;
}

::eplb::Placement EplbLayout::placement(const ::eplb::Topology& topology,
                                        const std::vector<int32_t>& tables) const {
    std::vector<uint32_t> experts;
    const bool is_one = tables.size() == static_cast<size_t>(slots());
    for (int32_t layer = 0; layer < (is_one ? layer_num : 1); ++layer) {
        experts.insert(experts.end(), tables.begin(), tables.end());
    }
    return ::eplb::Placement(model(), topology, experts);
}

} // namespace xllm
