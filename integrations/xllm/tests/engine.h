// The emulated engine: steps as xLLM's takes them, with its ranks as threads.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "core/framework/eplb/eplb_manager.h"
#include "rank.h"

namespace xllm::test {

// How a step's batch is.
enum class Batch {
    DECODE,  // all non-empty batches of all data-parallel ranks decode
    PREFILL, // some do not: no command is allowed
    WARM_UP  // for a graph: no command is allowed
};

class Engine {
  public:
    // With `has_overlap` a step's output is taken after the next step was sent, as with xLLM's schedule
    // overlap.
    explicit Engine(const Setup& setup, bool has_overlap = false);
    ~Engine();

    // Takes one step, and checks that all ranks route alike and that each token meets its own expert's
    // bytes. Gives what the workers were sent.
    EplbInfo step(Batch batch = Batch::DECODE);

    // Steps of decode until the condition holds, which is asked after each; whether it did, within so
    // many seconds.
    bool run_until(const std::function<bool()>& holds, int seconds = 30);

    uint64_t metric(const std::string& name) const { return manager.metrics()[name]; }
    // Whether all live ranks hold the bytes of the manager's tables.
    bool is_right() const;
    bool routes_alike() const;

    const Setup setup;
    EplbManager manager;
    std::vector<std::unique_ptr<Rank>> ranks;
    // What the last step's workers were sent.
    EplbInfo sent;
    // Called with it before they get it.
    std::function<void(const EplbInfo&)> on_sent;
    // Ranks that refused the last step.
    int refusals = 0;
    // What each rank's tokens of a layer ask for, by expert.
    std::function<int64_t(int32_t layer, int32_t expert)> tokens;

  private:
    struct Output {
        std::vector<torch::Tensor> loads;
        std::vector<int64_t> tokens;
        bool is_warm_up = false;
        int64_t activation_token = -1;
    };

    Output run_ranks(const EplbInfo& info);
    std::vector<torch::Tensor> counted() const;
    void take(Output output);

    ::eplb::Backend backend_;
    const bool has_overlap_;
    std::deque<Output> outputs_;
    // As xLLM's engine keeps them with overlap: one for each step, taken by steps that are no warm-up.
    std::deque<int64_t> pending_activation_tokens_;
};

} // namespace xllm::test
