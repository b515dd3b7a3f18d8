// One layer's change on its way through xLLM's protocol, as the engine sees it.
#pragma once

#include <cstdint>
#include <eplb_message.hpp>
#include <optional>
#include <vector>

namespace xllm {

struct EplbChange {
    enum class Said { NOTHING, PREPARED, REFUSED, FAILED };

    uint64_t token = 0; // the library's
    int32_t layer = -1;
    std::vector<int32_t> before; // the layer's table until the switch
    std::vector<int32_t> after;
    std::vector<Said> said; // by each rank; what comes first stands

    bool is_prepare_sent = false;
    // The library's first step with the new table; before that ranks are only to prepare.
    std::optional<uint64_t> commit_step;
    bool is_update_sent = false;
    bool is_updated = false;
    bool is_back_due = false;
    bool is_back_sent = false;
    bool is_back = false;

    // The tokens that xLLM carries. They rise with the library's, and are never used again.
    int64_t prepare_token() const { return static_cast<int64_t>(2 * token + 1); }
    int64_t back_token() const { return prepare_token() + 1; }

    // Whether counts of the layer may belong to either table: the switch was sent, and the output of that
    // step has not come.
    bool is_between_tables() const {
        return (is_update_sent && !is_updated) || (is_back_sent && !is_back);
    }

    // What a rank says of it in the library's terms.
    std::optional<::eplb::Answer> answer_of(size_t rank) const;
};

} // namespace xllm
