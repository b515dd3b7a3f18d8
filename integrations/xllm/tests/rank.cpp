// One worker of the emulated engine.
#include "rank.h"

#include <stdexcept>

namespace xllm::test {

namespace {

constexpr std::chrono::seconds LIMIT(10);

torch::Tensor weight_of(int32_t layer, int32_t expert) {
    return torch::arange(6 * 32).add(layer * 31 + expert * 7).remainder(251).sub(125).to(torch::kInt8)
        .reshape({6, 32});
}

torch::Tensor scale_of(int32_t layer, int32_t expert) {
    return torch::arange(5, torch::kFloat32) + static_cast<float>(1000 * layer + expert);
}

} // namespace

ExpertMoverOptions Model::options(const Setup& setup, int32_t rank,
                                  const std::shared_ptr<::eplb::Device>& device) {
    ExpertMoverOptions options;
    options.settings = setup.settings;
    options.rank = rank;
    options.layer_num = setup.layers;
    options.device_num = setup.ranks;
    options.experts_num = setup.experts;
    options.device = device;
    options.stream = std::make_shared<::eplb::Stream>(*device);
    return options;
}

Model::Model(const Setup& setup, int32_t rank, const ::eplb::Backend& backend)
    : Model(setup, options(setup, rank, std::make_shared<::eplb::Device>(
                                            backend, static_cast<uint32_t>(rank)))) {}

Model::Model(const Setup& setup, const ExpertMoverOptions& options)
    : mover(options), layout_(setup.layout()), rank_(options.rank), stream_(options.stream) {
    const int64_t slots = layout_.device_experts_num;
    const auto table = layout_.initial_table();
    for (int32_t layer = 0; layer < setup.layers; ++layer) {
        weights_.push_back(torch::empty({slots, 6, 32}, torch::kInt8));
        scales_.push_back(torch::empty({slots, 8}, torch::kFloat32).narrow(1, 0, 5));
        for (int64_t slot = 0; slot < slots; ++slot) {
            const int32_t expert = table[static_cast<size_t>(rank_ * slots + slot)];
            weights_.back()[slot].copy_(weight_of(layer, expert));
            scales_.back()[slot].copy_(scale_of(layer, expert));
        }
        mover.add_tensor(layer, "w13", weights_.back());
        mover.add_tensor(layer, "w13_scale", scales_.back());
        log2phy.push_back(mover.log2phy(layer));
    }
}

void Model::prepare_expert_weight(int32_t layer_id, const std::vector<int32_t>& expert_ids) {
    if (faults.prepare_is_refused) {
        throw std::runtime_error("the test refuses this prepare");
    }
    mover.prepare(layer_id, expert_ids);
}

void Model::update_expert_weight(int32_t layer_id) {
    if (faults.update_fails.exchange(false)) {
        throw std::runtime_error("the test lets this switch fail");
    }
    mover.update(layer_id);
    log2phy[static_cast<size_t>(layer_id)] = mover.log2phy(layer_id);
}

bool Model::last_prepare_expert_weight_ok(int32_t layer_id) const {
    return mover.is_prepared(layer_id);
}

bool Model::holds(int32_t layer, const std::vector<int32_t>& table) {
    stream_->wait(LIMIT);
    const auto index = static_cast<size_t>(layer);
    const int64_t slots = layout_.device_experts_num;
    for (int64_t slot = 0; slot < slots; ++slot) {
        const int32_t expert = table[static_cast<size_t>(rank_ * slots + slot)];
        if (!weights_[index][slot].equal(weight_of(layer, expert)) ||
            !scales_[index][slot].equal(scale_of(layer, expert))) {
            return false;
        }
    }
    return true;
}

} // namespace xllm::test
