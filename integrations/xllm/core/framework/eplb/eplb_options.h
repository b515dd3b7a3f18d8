// The settings of one manager, a copy of xLLM's flags.
#pragma once

#include <cstdint>
#include <string>

namespace xllm {

class EplbOptions final {
  public:
    // Slots of each rank and layer beside its equal share of the experts; 0 or more.
    int32_t redundant_experts_num = 1;
    // Seconds between two rounds; 0 or more.
    int64_t eplb_update_interval = 1000;
    // The least gain for which a layer moves, 0 to 1, in units of the layer's mean rank load.
    double eplb_min_peak_load_improvement = 0.05;
    // Seconds until all ranks must hold a layer's new weights; more than 0.
    int32_t eplb_prepare_timeout_seconds = 30;
    // A name that eplb_policy_kind_from_string knows.
    std::string eplb_policy_kind = "balanced";
    // Further settings of the library, as TOML; those above, and `ep_size`, come from xLLM. Not a flag
    // of xLLM.
    std::string library_settings;

    // Throws std::invalid_argument with the name, the value and what is allowed.
    void validate() const;

    // What xLLM's flags or its JSON say now.
    static EplbOptions from_global_config();
};

} // namespace xllm
