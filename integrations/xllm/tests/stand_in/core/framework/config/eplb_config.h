// Stands in for xLLM's flags of expert balancing: the values that the options are read from.
#pragma once

#include <cstdint>
#include <string>

namespace xllm {

class EPLBConfig final {
  public:
    static EPLBConfig& get_instance() {
        static EPLBConfig config;
        return config;
    }

    int32_t redundant_experts_num() const { return redundant_experts; }
    int64_t eplb_update_interval() const { return update_interval; }
    double eplb_min_peak_load_improvement() const { return min_peak_load_improvement; }
    int32_t eplb_prepare_timeout_seconds() const { return prepare_timeout_seconds; }
    const std::string& eplb_policy_kind() const { return policy_kind; }

    int32_t redundant_experts = 1;
    int64_t update_interval = 1000;
    double min_peak_load_improvement = 0.05;
    int32_t prepare_timeout_seconds = 30;
    std::string policy_kind = "balanced";
};

} // namespace xllm
