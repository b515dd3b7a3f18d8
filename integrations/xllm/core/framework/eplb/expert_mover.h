// The model's side: its expert weights, given to the library, and the hooks that move and switch them.
#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <eplb.hpp>
#include <eplb_message.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/framework/eplb/eplb_layout.h"

namespace xllm {

// What a model hands over of its own.
struct ExpertMoverOptions {
    EplbOptions settings; // as the engine's manager has them
    int32_t rank = 0;
    int32_t layer_num = 0;
    int32_t device_num = 0;
    int32_t experts_num = 0;
    std::shared_ptr<::eplb::Device> device;
    std::shared_ptr<::eplb::Stream> stream; // that forward passes run on
};

// Moves the weights of one rank's experts, for the hooks of its CausalLM. Bytes are pulled from the ranks that
// hold them while the model serves, and a switch is copies on the model's stream: addresses stay.
//
// First add_tensor for every tensor, open, connect. Then prepare may be called by one thread and update by
// another.
class ExpertMover {
  public:
    explicit ExpertMover(const ExpertMoverOptions& options);
    ~ExpertMover();
    ExpertMover(const ExpertMover&) = delete;
    ExpertMover& operator=(const ExpertMover&) = delete;

    // A tensor of a layer whose first dimension is the rank's slots, each of them without gaps. Layers come
    // in order from 0; all ranks add the same. Throws std::invalid_argument.
    void add_tensor(int32_t layer, const std::string& name, const torch::Tensor& tensor);

    // The same where strides can't say it, as for private formats. The memory has to outlive the mover.
    void add_memory(int32_t layer, const std::string& name, void* address, size_t slot_stride,
                    size_t slot_bytes);

    // Registers the weights, which hold xLLM's initial table. What the other ranks need to know of them.
    std::vector<uint8_t> open();
    // What all ranks' `open` gave, by rank.
    void connect(const std::vector<std::vector<uint8_t>>& endpoints);

    // prepare_expert_weight: gets the weights for a table ready, beside the forward passes. Waits until
    // they are, or for eplb_prepare_timeout_seconds; whether they are, is_prepared says.
    void prepare(int32_t layer, const std::vector<int32_t>& expert_ids);
    // last_prepare_expert_weight_ok
    bool is_prepared(int32_t layer) const;
    // update_expert_weight: switches the layer to what was prepared. Does not wait: what is queued on the
    // stream from now on finds the new weights. Throws eplb::Error, and the old ones stay then.
    void update(int32_t layer);

    // The table that the layer has: the expert of each slot of all ranks.
    std::vector<int32_t> expert_ids(int32_t layer) const;
    // The slot that this rank sends each expert's tokens to: int32 [experts]. A slot of its own where it
    // has one; else ranks spread over the replicas.
    torch::Tensor log2phy(int32_t layer) const;
    // Why the last prepare or update failed.
    std::string last_error() const;
    // What was moved, by name.
    std::map<std::string, uint64_t> figures() const;

  private:
    // The change that the session knows of.
    struct Change {
        uint64_t token;
        int32_t layer;
        std::vector<int32_t> before;
        std::vector<int32_t> after;
        uint64_t epoch_before;
        uint64_t epoch;
        bool is_ready = false;
        bool is_switched = false;
        bool is_to_go_back = false;
    };

    void begin(int32_t layer, const std::vector<int32_t>& expert_ids);
    std::optional<::eplb::Answer> answer();
    void send(const std::vector<::eplb::Directive>& directives);
    ::eplb::Directive directive(int32_t kind) const;
    void fail(const std::string& reason);

    const EplbLayout layout_;
    const int32_t rank_;
    const std::chrono::milliseconds limit_;
    ::eplb::Config config_;
    ::eplb::Topology topology_;
    std::shared_ptr<::eplb::Device> device_;
    std::shared_ptr<::eplb::Stream> stream_;
    // Kept, so that their memory stays as long as it is lent.
    std::vector<torch::Tensor> tensors_;
    std::optional<::eplb::Weights> weights_;
    // Guards all below. It is held for calls that do not wait.
    mutable std::mutex mutex_;
    std::optional<::eplb::Session> session_;
    std::vector<std::vector<int32_t>> tables_;
    std::vector<uint64_t> epochs_;
    // An epoch is never used for another table.
    std::vector<uint64_t> highest_epochs_;
    uint64_t step_ = 0;
    uint64_t next_token_ = 0;
    std::optional<Change> change_;
    // A layer that was to be prepared for the table that it has.
    std::optional<int32_t> stays_;
    std::string last_error_;
};

} // namespace xllm
