// The engine's side: xLLM's manager, a translator between xLLM's messages and the library's coordinator.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <eplb.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/framework/eplb/eplb_change.h"
#include "core/framework/eplb/eplb_info.h"
#include "core/framework/eplb/eplb_layout.h"
#include "core/framework/eplb/eplb_options.h"
#include "core/framework/eplb/eplb_policy.h"

namespace xllm {

// What the library's coordinator decides becomes commands of xLLM, at most one layer to prepare and one to
// switch in a step; what the workers say and count becomes reports to it. Windows, rounds, deadlines,
// back-off and roll-back are the coordinator's; planning is on a thread of its own.
//
// Any thread may call; the calls never wait for planning. None of them throws but the constructors: what can't
// be used is left out, and counted (`metrics`).
class EplbManager {
  public:
    // With the options of xLLM's flags. Throws std::invalid_argument or eplb::Error for sizes or settings
    // that are not allowed.
    EplbManager(int32_t layer_num, int32_t device_num, int32_t experts_num);

    // The same with these options. `eplb_policy` may be null, or one of MakeEplbPolicy, whose kind then
    // counts; others throw std::invalid_argument, since the coordinator plans by itself.
    EplbManager(int32_t layer_num, int32_t device_num, int32_t experts_num, EplbOptions options,
                std::unique_ptr<IEplbPolicy> eplb_policy);

    // What the workers counted in a step: of each rank int64 [layers, slots of a rank], sums over all slots
    // up to and with each, on the host; a rank whose tensor is undefined was not heard. The token is that
    // of the switch that was sent with the same step, or -1.
    void update_expert_load(const std::vector<torch::Tensor>& expert_load,
                            int64_t completed_activation_token = -1);

    // Begins a step. Without leave it gives no new command; the way back to an old table alone is sent
    // at once, since a rank that could not switch runs no step before it.
    EplbInfo get_eplb_info(bool allow_eplb_command = true);

    // Each rank's answer to a prepare: its token, eplb_refusal_of its token, or -1 for none.
    void set_prepared_tokens(const std::vector<int64_t>& prepare_tokens);

    // The coordinator's counters, and those of this translation, which begin with "xllm_".
    std::map<std::string, uint64_t> metrics() const;

    // One line for each thing that happened since the last call, oldest first.
    std::vector<std::string> take_notes();

    // The tables that steps route with: [layers, slots of all ranks].
    std::vector<int32_t> placement() const;

  private:
    // What was counted in one step.
    struct Sample {
        std::vector<std::vector<uint64_t>> sums; // of each rank
        std::vector<bool> is_heard;
        std::vector<bool> is_usable;
    };

    EplbManager(const EplbLayout& layout, const EplbOptions& options);

    EplbInfo begin_step(bool allow_eplb_command);
    void report_step();
    void take_directives(const std::vector<::eplb::Directive>& directives);
    void take_directive(const ::eplb::Directive& directive);
    EplbInfo next_command(bool allow_eplb_command);
    void take_token(size_t rank, int64_t token);
    bool take_completion(int64_t token);
    Sample sample_of(const std::vector<torch::Tensor>& expert_load);
    bool copy_sums(const torch::Tensor& tensor, std::vector<uint64_t>& sums) const;

    const EplbLayout layout_;
    mutable std::mutex mutex_;
    ::eplb::Config config_;
    ::eplb::Topology topology_;
    ::eplb::Coordinator coordinator_;
    // The library's step, one ahead of xLLM's: a layer that xLLM switches behind the forward pass of its
    // step is new from the next one on. 0: none has begun.
    uint64_t step_ = 0;
    std::vector<std::vector<int32_t>> tables_;
    // By the library's token: those that the last header named.
    std::map<uint64_t, EplbChange> changes_;
    std::optional<Sample> sample_;
    std::map<std::string, uint64_t> counters_;
};

} // namespace xllm
