// Adds what workers counted to the load of logical experts.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace xllm {

// Has no state. A manager of ours does without it: the library takes the workers' sums as they are.
class EplbAggregator final {
  public:
    EplbAggregator(int32_t layer_num, int32_t device_num, int32_t device_experts_num);

    // `expert_load`: int64 [layers, experts], added to. `expert_ids_list`: int32 [layers, ranks, slots of
    // a rank], the tables that the counts were made under. `expert_loads_list`: of each rank int64
    // [layers, slots of a rank], sums over all slots up to and with each; replaced by the counts of each
    // slot. Throws std::invalid_argument for other shapes or types, and changes nothing then.
    void aggregate(torch::Tensor& expert_load, torch::Tensor& expert_ids_list,
                   std::vector<torch::Tensor>& expert_loads_list) const;

    // The same, with the counts of all slots added to `physical_expert_load`, int64 [layers, ranks, slots
    // of a rank].
    void aggregate(torch::Tensor& expert_load, torch::Tensor& physical_expert_load,
                   torch::Tensor& expert_ids_list,
                   std::vector<torch::Tensor>& expert_loads_list) const;

  private:
    int32_t layer_num_;
    int32_t device_num_;
    int32_t device_experts_num_;
};

} // namespace xllm
