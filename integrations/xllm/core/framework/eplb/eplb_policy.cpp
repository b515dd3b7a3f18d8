// Policies by the names that xLLM's flags have for them.
#include "core/framework/eplb/eplb_policy.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "core/framework/eplb/eplb_utils.h"
#include "core/framework/eplb/library_policy.h"

namespace xllm {

EplbPolicyKind eplb_policy_kind_from_string(const std::string& kind) {
    static const std::array<const char*, 8> balanced = {
        "balanced",      "flat",          "deepseek_flat", "deepseek-flat",
        "deepseek_hier", "deepseek-hier", "hier",          "hierarchical"};
    std::string lower = kind;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    const bool is_balanced = std::find(balanced.begin(), balanced.end(), lower) != balanced.end();
    return is_balanced ? EplbPolicyKind::BALANCED : EplbPolicyKind::GREEDY;
}

std::unique_ptr<IEplbPolicy> MakeEplbPolicy(EplbPolicyKind kind, int32_t device_experts_num,
                                            int32_t device_num, int32_t layer_num,
                                            EplbOptions options) {
    const int32_t share = device_experts_num - options.redundant_experts_num;
    eplb::require(share > 0, "device_experts_num", device_experts_num,
                  "more than redundant_experts_num");
    const EplbLayout layout(layer_num, device_num, share * device_num,
                            options.redundant_experts_num);
    return std::make_unique<LibraryPolicy>(kind, layout, std::move(options));
}

} // namespace xllm
