// The library's policies behind xLLM's interface.
#pragma once

#include <eplb.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/framework/eplb/eplb_layout.h"
#include "core/framework/eplb/eplb_policy.h"

namespace xllm {

// Plans from the present tables, so that little moves. A manager of ours does not call it: the library's
// coordinator plans by itself, on a thread of its own, with the policy that the options name.
class LibraryPolicy final : public IEplbPolicy {
  public:
    LibraryPolicy(EplbPolicyKind kind, EplbLayout layout, EplbOptions options);

    std::pair<torch::Tensor, std::vector<bool>> rebalance_experts(
        torch::Tensor expert_load, torch::Tensor physical_expert_load = torch::Tensor()) override;
    void initialize_distribution(const torch::Tensor& current_distribution) override;
    void commit_layer(int32_t layer_id) override;
    void abort_layer(int32_t layer_id) override;
    std::string name() const override;

  private:
    bool is_worthwhile(const eplb_layer_plan& plan) const;
    torch::Tensor tables_of(const std::vector<int32_t>& experts) const;

    EplbPolicyKind kind_;
    EplbLayout layout_;
    EplbOptions options_;
    ::eplb::Config config_;
    ::eplb::Topology topology_;
    // The tables as they will be when all that was proposed has come to be: [layers, slots of all ranks].
    std::vector<int32_t> tables_;
    // What a proposed layer goes back to if it is aborted.
    std::vector<std::optional<std::vector<int32_t>>> before_;
};

} // namespace xllm
