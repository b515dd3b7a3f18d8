// What the engine tells every worker with a step: at most one layer to prepare, and one to switch.
#pragma once

#include <cstdint>
#include <vector>

namespace xllm {

// -1 stands for "none". It travels through xLLM's messages as it is; the activation token alone stays in the
// engine's process.
//
// A step that switches a layer and prepares none may still hold a table: then the switch goes back to
// that table, which is the one that the layer had before its last switch.
struct EplbInfo {
    int32_t prepare_layer_id = -1;
    // Names this attempt; a worker's answer repeats it.
    int64_t prepare_token = -1;
    // The logical expert of each slot of all ranks, rank after rank.
    std::vector<int32_t> expert_ids;
    int32_t update_layer_id = -1;
    int64_t activation_token = -1;
};

// A worker's answer to a prepare, in the one number that its output has for it: the token itself when it
// is ready, this when it can't be, or when the switch has failed.
inline int64_t eplb_refusal_of(int64_t prepare_token) { return -1 - prepare_token; }

} // namespace xllm
