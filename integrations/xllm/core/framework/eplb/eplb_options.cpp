// The settings of one manager, checked, and read from xLLM's flags.
#include "core/framework/eplb/eplb_options.h"

#include <stdexcept>

#include "core/framework/config/eplb_config.h"

namespace xllm {

namespace {

void require(bool is_allowed, const std::string& name, const std::string& value,
             const std::string& allowed) {
    if (!is_allowed) {
        throw std::invalid_argument(name + " is " + value + ", allowed is " + allowed);
    }
}

} // namespace

void EplbOptions::validate() const {
    require(redundant_experts_num >= 0, "redundant_experts_num",
            std::to_string(redundant_experts_num), "0 or more");
    require(eplb_update_interval >= 0, "eplb_update_interval", std::to_string(eplb_update_interval),
            "0 or more");
    // Written so that a value that is not a number is refused.
    require(eplb_min_peak_load_improvement >= 0.0 && eplb_min_peak_load_improvement <= 1.0,
            "eplb_min_peak_load_improvement", std::to_string(eplb_min_peak_load_improvement),
            "0 to 1");
    require(eplb_prepare_timeout_seconds > 0, "eplb_prepare_timeout_seconds",
            std::to_string(eplb_prepare_timeout_seconds), "1 or more");
}

EplbOptions EplbOptions::from_global_config() {
    const EPLBConfig& flags = EPLBConfig::get_instance();
    EplbOptions options;
    options.redundant_experts_num = flags.redundant_experts_num();
    options.eplb_update_interval = flags.eplb_update_interval();
    options.eplb_min_peak_load_improvement = flags.eplb_min_peak_load_improvement();
    options.eplb_prepare_timeout_seconds = flags.eplb_prepare_timeout_seconds();
    options.eplb_policy_kind = flags.eplb_policy_kind();
    options.validate();
    return options;
}

} // namespace xllm
