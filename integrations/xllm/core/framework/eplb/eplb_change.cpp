// What a rank's tokens say of a change, in the library's terms.
#include "core/framework/eplb/eplb_change.h"

namespace xllm {

std::optional<::eplb::Answer> EplbChange::answer_of(size_t rank) const {
    ::eplb::Answer answer;
    answer.token = token;
    if (is_back) {
        answer.kind = EPLB_ANSWER_REVERTED;
        return answer;
    }
    switch (said[rank]) {
        case Said::NOTHING:
            return std::nullopt;
        case Said::REFUSED:
            answer.kind = EPLB_ANSWER_REFUSED;
            answer.reason = "the worker could not prepare the layer";
            return answer;
        case Said::FAILED:
            answer.kind = EPLB_ANSWER_COMMIT_FAILED;
            answer.reason = "the worker could not switch the layer";
            return answer;
        case Said::PREPARED:
            break;
    }
    answer.kind = EPLB_ANSWER_PREPARED;
    if (is_updated && commit_step.has_value()) {
        answer.kind = EPLB_ANSWER_COMMITTED;
        answer.step = *commit_step;
    }
    return answer;
}

} // namespace xllm
