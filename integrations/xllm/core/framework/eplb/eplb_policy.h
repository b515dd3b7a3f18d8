// What plans a placement: xLLM's interface, and the library's policies behind it.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/framework/eplb/eplb_options.h"

namespace xllm {

enum class EplbPolicyKind : int8_t {
    GREEDY = 0,   // xLLM's first policy, as the library repeats it
    BALANCED = 1, // the library's own, `robust`
};

// Whatever the case: balanced and xLLM's older names for it (flat, deepseek_flat, deepseek-flat,
// deepseek_hier, deepseek-hier, hier, hierarchical) are BALANCED, all else is GREEDY.
EplbPolicyKind eplb_policy_kind_from_string(const std::string& kind);

// A plan for all layers from what was counted.
class IEplbPolicy {
  public:
    virtual ~IEplbPolicy() = default;

    // `expert_load`: int64 [layers, experts]. `physical_expert_load`: int64 [layers, ranks, slots of a
    // rank], or none; the library's policies do without it. Gives the new tables, int32 [layers, ranks,
    // slots of a rank], which stay as they are, and which layers are to change. Throws
    // std::invalid_argument for tensors of another shape or type, eplb::Error where the library refuses.
    virtual std::pair<torch::Tensor, std::vector<bool>> rebalance_experts(
        torch::Tensor expert_load, torch::Tensor physical_expert_load = torch::Tensor()) = 0;

    // The tables that are in use, int32 [layers, ranks, slots of a rank].
    virtual void initialize_distribution(const torch::Tensor& current_distribution) {
        (void)current_distribution;
    }

    // What became of a layer that was to change: it has, or it will not.
    virtual void commit_layer(int32_t layer_id) { (void)layer_id; }
    virtual void abort_layer(int32_t layer_id) { (void)layer_id; }

    virtual std::string name() const { return "unknown"; }
};

// The policy of a kind, for so many slots of each rank, ranks and layers.
std::unique_ptr<IEplbPolicy> MakeEplbPolicy(EplbPolicyKind kind, int32_t device_experts_num,
                                            int32_t device_num, int32_t layer_num,
                                            EplbOptions options);

} // namespace xllm
