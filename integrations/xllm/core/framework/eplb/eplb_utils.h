// Small functions that xLLM's engine and workers share: sizes, ranks, masks of decode tokens. The file's name is
// xLLM's.
#pragma once

#include <torch/torch.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace xllm {
namespace eplb {

// Throws std::invalid_argument with the name, the value and what is allowed, where xLLM ends the process.
template <typename Value>
void require(bool is_allowed, const std::string& name, Value value, const std::string& allowed) {
    if (!is_allowed) {
        throw std::invalid_argument(name + " is " + std::to_string(value) + ", allowed is " +
                                    allowed);
    }
}

// The ranks that experts are balanced over: all workers.
inline int32_t effective_device_num(int32_t worker_num, int32_t ep_size) {
    require(worker_num > 0, "worker_num", worker_num, "1 or more");
    require(ep_size == worker_num, "ep_size", ep_size,
            "the number of workers, " + std::to_string(worker_num));
    return worker_num;
}

// The slots of a rank in each layer.
inline int32_t local_physical_experts_num(int32_t num_logical_experts, int32_t eplb_device_num,
                                          int32_t redundant_experts_num) {
    require(num_logical_experts > 0, "num_logical_experts", num_logical_experts, "1 or more");
    require(eplb_device_num > 0, "eplb_device_num", eplb_device_num, "1 or more");
    require(redundant_experts_num >= 0, "redundant_experts_num", redundant_experts_num, "0 or more");
    require(num_logical_experts % eplb_device_num == 0, "num_logical_experts", num_logical_experts,
            "a multiple of the number of ranks, " + std::to_string(eplb_device_num));
    return num_logical_experts / eplb_device_num + redundant_experts_num;
}

// The rank of a worker among those that experts are balanced over: the same number.
inline int32_t eplb_rank_from_worker_rank(int32_t worker_rank, int32_t worker_num,
                                          int32_t eplb_device_num) {
    require(eplb_device_num == worker_num, "eplb_device_num", eplb_device_num,
            "the number of workers, " + std::to_string(worker_num));
    require(worker_rank >= 0 && worker_rank < worker_num, "worker_rank", worker_rank,
            "0 to the number of workers less 1");
    return worker_rank;
}

// One mask over the tokens of all data-parallel ranks, of one mask from each: as many entries as that rank has
// tokens.
inline torch::Tensor build_global_decode_token_mask(const std::vector<torch::Tensor>& local_masks,
                                                    const std::vector<int32_t>& dp_token_counts) {
    require(!local_masks.empty(), "local_masks.size()", local_masks.size(), "1 or more");
    require(local_masks.size() == dp_token_counts.size(), "local_masks.size()", local_masks.size(),
            "the number of token counts, " + std::to_string(dp_token_counts.size()));
    std::vector<torch::Tensor> flat;
    for (size_t rank = 0; rank < local_masks.size(); ++rank) {
        const auto name = "local_masks[" + std::to_string(rank) + "]";
        const int64_t found = local_masks[rank].defined() ? local_masks[rank].numel() : -1;
        require(found == dp_token_counts[rank], name + " entries", found,
                "the rank's tokens, " + std::to_string(dp_token_counts[rank]));
        flat.push_back(local_masks[rank].reshape({-1}));
    }
    return torch::cat(flat).contiguous();
}

// The mask with each entry repeated, for rows that stand for several tokens.
inline torch::Tensor expand_decode_token_mask(const torch::Tensor& decode_token_mask,
                                              int32_t tokens_per_row) {
    require(tokens_per_row > 0, "tokens_per_row", tokens_per_row, "1 or more");
    if (!decode_token_mask.defined()) {
        return {};
    }
    return decode_token_mask.reshape({-1}).repeat_interleave(tokens_per_row).contiguous();
}

// How many slots of the new table hold an expert that their rank did not hold before.
inline int32_t count_cross_device_migrations(const std::vector<int64_t>& previous_assignment,
                                             const std::vector<int64_t>& next_assignment,
                                             int32_t device_experts_num) {
    require(device_experts_num > 0, "device_experts_num", device_experts_num, "1 or more");
    require(next_assignment.size() == previous_assignment.size(), "next_assignment.size()",
            next_assignment.size(), std::to_string(previous_assignment.size()));
    const auto slots = static_cast<size_t>(device_experts_num);
    require(next_assignment.size() % slots == 0, "next_assignment.size()", next_assignment.size(),
            "a multiple of " + std::to_string(slots));
    int32_t migrations = 0;
    for (size_t slot = 0; slot < next_assignment.size(); ++slot) {
        const auto first = previous_assignment.begin() + static_cast<ptrdiff_t>(slot / slots * slots);
        const auto last = first + device_experts_num;
        migrations += std::find(first, last, next_assignment[slot]) == last;
    }
    return migrations;
}

} // namespace eplb
} // namespace xllm
