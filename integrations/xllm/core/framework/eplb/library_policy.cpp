// The library's policies behind xLLM's interface.
#include "core/framework/eplb/library_policy.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace xllm {

namespace {

EplbOptions named(EplbOptions options, EplbPolicyKind kind) {
    options.eplb_policy_kind = kind == EplbPolicyKind::BALANCED ? "balanced" : "greedy";
    return options;
}

void require_shape(const torch::Tensor& tensor, torch::ScalarType type,
                   const std::vector<int64_t>& shape, const char* name) {
    if (!tensor.defined() || tensor.scalar_type() != type || tensor.sizes() != at::IntArrayRef(shape)) {
        std::string wanted = std::string(name) + " is no tensor of type " + torch::toString(type) +
                             " and shape [";
        for (const int64_t size : shape) {
            wanted += std::to_string(size) + (&size == &shape.back() ? "]" : ", ");
        }
        throw std::invalid_argument(wanted);
    }
}

} // namespace

LibraryPolicy::LibraryPolicy(EplbPolicyKind kind, EplbLayout layout, EplbOptions options)
    : kind_(kind),
      layout_(layout),
      options_(named(std::move(options), kind)),
      config_(layout.config(options_)),
      topology_(config_, static_cast<uint32_t>(layout.experts_num)),
      before_(static_cast<size_t>(layout.layer_num)) {
    const auto table = layout.initial_table();
    for (int32_t layer = 0; layer < layout.layer_num; ++layer) {
        tables_.insert(tables_.end(), table.begin(), table.end());
    }
}

std::pair<torch::Tensor, std::vector<bool>> LibraryPolicy::rebalance_experts(
    torch::Tensor expert_load, torch::Tensor physical_expert_load) {
    (void)physical_expert_load;
    require_shape(expert_load, torch::kInt64, {layout_.layer_num, layout_.experts_num},
                  "expert_load");
    const auto load = expert_load.to(torch::kCPU).contiguous();
    const int64_t* counts = load.data_ptr<int64_t>();
    if (std::any_of(counts, counts + load.numel(), [](int64_t count) { return count < 0; })) {
        throw std::invalid_argument("expert_load has a count below 0");
    }
    const std::vector<uint64_t> loads(counts, counts + load.numel());
    const auto present = layout_.placement(topology_, tables_);
    const ::eplb::Plan plan(config_, layout_.model(), topology_, loads, 1, &present);
    const auto proposed = plan.placement();

    std::vector<bool> changes(static_cast<size_t>(layout_.layer_num), false);
    const auto slots = static_cast<size_t>(layout_.slots());
    for (size_t index = 0; index < plan.layers(); ++index) {
        const auto weighed = plan.layer(index);
        const auto table = proposed.layer(weighed.layer, static_cast<uint32_t>(slots));
        const auto first = tables_.begin() + static_cast<ptrdiff_t>(weighed.layer * slots);
        const bool stays = std::equal(table.begin(), table.end(), first,
                                      [](uint32_t left, int32_t right) {
                                          return left == static_cast<uint32_t>(right);
                                      });
        if (stays || !is_worthwhile(weighed)) {
            continue;
        }
        before_[weighed.layer] = std::vector<int32_t>(first, first + static_cast<ptrdiff_t>(slots));
        std::copy(table.begin(), table.end(), first);
        changes[weighed.layer] = true;
    }
    return {tables_of(tables_), changes};
}

bool LibraryPolicy::is_worthwhile(const eplb_layer_plan& plan) const {
    const double gain = plan.is_weighed != 0 ? plan.gain - plan.price
                                             : plan.balancedness_after - plan.balancedness_before;
    return gain > options_.eplb_min_peak_load_improvement;
}

torch::Tensor LibraryPolicy::tables_of(const std::vector<int32_t>& experts) const {
    const auto shape = {static_cast<int64_t>(layout_.layer_num),
                        static_cast<int64_t>(layout_.device_num),
                        static_cast<int64_t>(layout_.device_experts_num)};
    return torch::tensor(experts, torch::kInt32).reshape(shape);
}

void LibraryPolicy::initialize_distribution(const torch::Tensor& current_distribution) {
    require_shape(current_distribution, torch::kInt32,
                  {layout_.layer_num, layout_.device_num, layout_.device_experts_num},
                  "current_distribution");
    const auto tables = current_distribution.to(torch::kCPU).contiguous();
    const int32_t* first = tables.data_ptr<int32_t>();
    const std::vector<int32_t> experts(first, first + tables.numel());
    // Made and thrown away: tables that are none are refused here.
    const auto checked = layout_.placement(topology_, experts);
    tables_ = experts;
    std::fill(before_.begin(), before_.end(), std::nullopt);
}

void LibraryPolicy::commit_layer(int32_t layer_id) {
    if (layer_id >= 0 && layer_id < layout_.layer_num) {
        before_[static_cast<size_t>(layer_id)].reset();
    }
}

void LibraryPolicy::abort_layer(int32_t layer_id) {
    if (layer_id < 0 || layer_id >= layout_.layer_num) {
        return;
    }
    auto& before = before_[static_cast<size_t>(layer_id)];
    if (before.has_value()) {
        const auto first = static_cast<ptrdiff_t>(layer_id) * layout_.slots();
        std::copy(before->begin(), before->end(), tables_.begin() + first);
        before.reset();
    }
}

std::string LibraryPolicy::name() const {
    return kind_ == EplbPolicyKind::BALANCED ? "balanced" : "greedy";
}

} // namespace xllm
