// The worker's side: carries the engine's commands to the model.
#pragma once

#include <torch/torch.h>

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "core/framework/eplb/eplb_info.h"
#include "framework/model/causal_lm.h"

namespace xllm {

// This rank must not run the step: it could not switch a layer that other ranks have switched. The engine
// sends them back with one of its next steps, and this one runs again from then on.
class EplbStepRefused : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// Around each forward pass the worker calls start_eplb_step and finish_eplb_step, in one thread. Layers are
// prepared in a thread of its own. A failure of the model's hooks is told to the engine, and ends nothing.
class EplbExecutor final {
  public:
    // The model has to outlive the executor.
    EplbExecutor(CausalLM& model, const torch::Device& device);
    // Waits for the prepare that runs; the model's has a deadline.
    ~EplbExecutor();
    EplbExecutor(const EplbExecutor&) = delete;
    EplbExecutor& operator=(const EplbExecutor&) = delete;

    // The oldest answer that was not taken yet, for the worker's output: the token of a prepare that is
    // ready, eplb_refusal_of the token of one that failed, or -1.
    int64_t consume_ready_prepare_token();

    // Both halves, for workers without a forward pass between them.
    void eplb_execute(const EplbInfo& eplb_info);

    // Before the forward pass, which still uses the old table. Throws EplbStepRefused: then there is no
    // forward pass, and finish_eplb_step is called all the same.
    void start_eplb_step(const EplbInfo& eplb_info);

    // When the forward pass has been queued: switches the layer.
    void finish_eplb_step();

  private:
    struct Task {
        int32_t layer;
        int64_t token;
        std::vector<int32_t> expert_ids;
    };

    void run_tasks();
    bool prepare(const Task& task);
    void enqueue(Task task);
    void answer(int64_t token);

    CausalLM& model_;
    const torch::Device device_;

    // Of the thread that calls start and finish.
    std::optional<int32_t> update_layer_;
    bool is_going_back_ = false;
    std::optional<Task> deferred_;
    // Layers that other ranks have switched, and this one could not.
    std::map<int32_t, int64_t> left_behind_;
    // The last token with which each layer was to be prepared.
    std::map<int32_t, int64_t> tokens_;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Task> tasks_;
    std::deque<int64_t> answers_;
    bool is_stopped_ = false;
    std::thread thread_;
};

} // namespace xllm
