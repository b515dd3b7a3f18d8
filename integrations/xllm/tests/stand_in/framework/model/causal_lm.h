// Stands in for xLLM's model class: the hooks that expert balancing calls, and nothing else of it.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <vector>

namespace xllm {

class CausalLM : public torch::nn::Module {
  public:
    ~CausalLM() override = default;

    virtual void prepare_expert_weight(int32_t layer_id, const std::vector<int32_t>& expert_ids) = 0;
    virtual void start_expert_weight_transfer(int32_t layer_id) { (void)layer_id; }
    virtual void update_expert_weight(int32_t layer_id) = 0;
    virtual bool last_prepare_expert_weight_ok(int32_t layer_id) const {
        (void)layer_id;
        return true;
    }
};

} // namespace xllm
