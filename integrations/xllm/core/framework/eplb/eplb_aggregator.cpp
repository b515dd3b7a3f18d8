// Adds what workers counted to the load of logical experts: five operations of tensors a call, however many
// layers and ranks there are.
#include "core/framework/eplb/eplb_aggregator.h"

#include <stdexcept>

namespace xllm {

namespace {

void require(bool is_allowed, const char* what) {
    if (!is_allowed) {
        throw std::invalid_argument(what);
    }
}

} // namespace

EplbAggregator::EplbAggregator(int32_t layer_num, int32_t device_num, int32_t device_experts_num)
    : layer_num_(layer_num), device_num_(device_num), device_experts_num_(device_experts_num) {}

void EplbAggregator::aggregate(torch::Tensor& expert_load, torch::Tensor& expert_ids_list,
                               std::vector<torch::Tensor>& expert_loads_list) const {
    torch::Tensor physical =
        torch::zeros({layer_num_, device_num_, device_experts_num_}, torch::kInt64);
    aggregate(expert_load, physical, expert_ids_list, expert_loads_list);
}

void EplbAggregator::aggregate(torch::Tensor& expert_load, torch::Tensor& physical_expert_load,
                               torch::Tensor& expert_ids_list,
                               std::vector<torch::Tensor>& expert_loads_list) const {
    const std::vector<int64_t> all = {layer_num_, device_num_, device_experts_num_};
    const std::vector<int64_t> of_rank = {layer_num_, device_experts_num_};
    require(expert_load.dim() == 2 && expert_load.size(0) == layer_num_ &&
                expert_load.scalar_type() == torch::kInt64,
            "expert_load is not int64 [layers, experts]");
    require(physical_expert_load.sizes() == at::IntArrayRef(all) &&
                physical_expert_load.scalar_type() == torch::kInt64,
            "physical_expert_load is not int64 [layers, ranks, slots of a rank]");
    require(expert_ids_list.sizes() == at::IntArrayRef(all),
            "expert_ids_list is not [layers, ranks, slots of a rank]");
    require(expert_loads_list.size() == static_cast<size_t>(device_num_),
            "expert_loads_list has not one tensor for each rank");
    for (const auto& sums : expert_loads_list) {
        require(sums.defined() && sums.sizes() == at::IntArrayRef(of_rank) &&
                    sums.scalar_type() == torch::kInt64,
                "expert_loads_list has a tensor that is not int64 [layers, slots of a rank]");
    }
    const auto sums = torch::stack(expert_loads_list, 1);
    const auto counts = torch::diff(sums, 1, 2, torch::zeros_like(sums.narrow(2, 0, 1)));
    physical_expert_load.add_(counts);
    expert_load.scatter_add_(1, expert_ids_list.reshape({layer_num_, -1}).to(torch::kInt64),
                             counts.reshape({layer_num_, -1}));
    for (int64_t rank = 0; rank < device_num_; ++rank) {
        expert_loads_list[static_cast<size_t>(rank)] = counts.select(1, rank).contiguous();
    }
}

} // namespace xllm
