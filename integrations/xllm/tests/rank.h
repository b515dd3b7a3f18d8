// One worker of the emulated engine: a model with weights in torch tensors, its mover and its executor.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/framework/eplb/eplb_executor.h"
#include "core/framework/eplb/expert_mover.h"

namespace xllm::test {

// The layers, ranks and experts of a test, and what the engine's flags say.
struct Setup {
    int32_t layers = 2;
    int32_t ranks = 4;
    int32_t experts = 16;
    EplbOptions settings;
    EplbLayout layout() const {
        return EplbLayout(layers, ranks, experts, settings.redundant_experts_num);
    }
};

// What a test makes go wrong on a rank.
struct Faults {
    std::atomic<bool> prepare_is_lost{false};    // no answer ever comes
    std::atomic<bool> prepare_is_refused{false};
    std::atomic<bool> update_fails{false};
};

// The model of one rank: for each layer the weights and scales of its slots, as an expert has them all over
// the group, so that any byte tells whose it is.
class Model : public CausalLM {
  public:
    Model(const Setup& setup, int32_t rank, const ::eplb::Backend& backend);

    void prepare_expert_weight(int32_t layer_id, const std::vector<int32_t>& expert_ids) override;
    void update_expert_weight(int32_t layer_id) override;
    bool last_prepare_expert_weight_ok(int32_t layer_id) const override;

    // Whether each slot of a layer holds the bytes of the expert that the table says, once all that is
    // queued is done.
    bool holds(int32_t layer, const std::vector<int32_t>& table);

    ExpertMover mover;
    Faults faults;
    // Of each layer: the slot that this rank sends each expert to.
    std::vector<torch::Tensor> log2phy;

  private:
    static ExpertMoverOptions options(const Setup& setup, int32_t rank,
                                      const std::shared_ptr<::eplb::Device>& device);
    Model(const Setup& setup, const ExpertMoverOptions& options);

    const EplbLayout layout_;
    const int32_t rank_;
    std::shared_ptr<::eplb::Stream> stream_;
    std::vector<torch::Tensor> weights_; // int8 [slots, 6, 32] of each layer
    std::vector<torch::Tensor> scales_;  // float32 [slots, 5], as a part of wider rows
};

struct Rank {
    Rank(const Setup& setup, int32_t rank, const ::eplb::Backend& backend)
        : model(setup, rank, backend), executor(model, torch::kCPU) {}

    Model model;
    EplbExecutor executor;
    bool is_dead = false;   // runs nothing any more
    bool is_silent = false; // runs, and is not heard
};

} // namespace xllm::test
