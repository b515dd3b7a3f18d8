// eplb_message.h for C++17: headers and reports taken apart and made. Include it beside eplb.hpp.
#ifndef EPLB_MESSAGE_HPP
#define EPLB_MESSAGE_HPP

#include <cstdint>
#include <string>
#include <vector>

#include "eplb_handle.hpp"

namespace eplb {

// What is to become of one layer; eplb_directive says what its numbers are.
struct Directive {
    std::int32_t kind = 0;
    std::uint32_t layer = 0;
    std::uint64_t token = 0;
    std::uint64_t from_epoch = 0;
    std::uint64_t epoch = 0;
    std::uint64_t at_step = 0;
    std::vector<std::uint32_t> experts;
    std::vector<std::uint16_t> shares; // none: replicas share evenly
};

// How far a rank got with one change; see eplb_answer.
struct Answer {
    std::int32_t kind = 0;
    std::uint64_t token = 0;
    std::uint64_t step = 0;
    std::string reason;
};

namespace detail {

// The bytes that `write(data, capacity, written)` makes, which says how many they are.
template <typename Write> std::vector<std::uint8_t> written_by(std::size_t guess, Write write) {
    std::vector<std::uint8_t> bytes(guess);
    std::size_t written = 0;
    eplb_status status = write(bytes.data(), bytes.size(), &written);
    if (status == EPLB_ERROR_LENGTH && written > bytes.size()) {
        bytes.resize(written);
        status = write(bytes.data(), bytes.size(), &written);
    }
    check(status);
    bytes.resize(written);
    return bytes;
}

} // namespace detail

// The changes that a header names, in token order.
inline std::vector<Directive> read_header(Bytes header) {
    std::vector<Directive> directives;
    const auto take = [&](const eplb_directive *given) {
        Directive directive{given->kind,  given->layer,   given->token, given->from_epoch,
                            given->epoch, given->at_step, {},           {}};
        directive.experts.assign(given->experts, given->experts + given->expert_count);
        directive.shares.assign(given->shares, given->shares + given->share_count);
        directives.push_back(std::move(directive));
    };
    detail::Visit<decltype(take)> visit{take};
    const auto each = [](void *user, const eplb_directive *given) -> std::int32_t {
        return static_cast<decltype(visit) *>(user)->call(given);
    };
    visit.finish(eplb_header_read(header.data(), header.size(), nullptr, each, &visit));
    return directives;
}

// The header of a step on which the layers route with these epochs.
inline std::vector<std::uint8_t> write_header(std::uint64_t step, View<std::uint64_t> epochs,
                                              const std::vector<Directive> &directives) {
    std::vector<eplb_directive> given;
    std::size_t guess = 64;
    for (const auto &directive : directives) {
        auto next = sized<eplb_directive>();
        next.kind = directive.kind;
        next.layer = directive.layer;
        next.token = directive.token;
        next.from_epoch = directive.from_epoch;
        next.epoch = directive.epoch;
        next.at_step = directive.at_step;
        next.experts = directive.experts.data();
        next.expert_count = directive.experts.size();
        next.shares = directive.shares.empty() ? nullptr : directive.shares.data();
        next.share_count = directive.shares.size();
        guess += 64 + 4 * directive.experts.size() + 2 * directive.shares.size();
        given.push_back(next);
    }
    return detail::written_by(guess, [&](void *data, std::size_t capacity, std::size_t *written) {
        return eplb_header_write(step, epochs.data(), epochs.size(), given.data(), given.size(), data,
                                 capacity, written);
    });
}

// What a report says of changes, in token order.
inline std::vector<Answer> read_report(Bytes report) {
    std::vector<Answer> answers;
    const auto take = [&](const eplb_answer *given) {
        const char *reason = given->reason == nullptr ? "" : given->reason;
        answers.push_back(Answer{given->kind, given->token, given->step, reason});
    };
    detail::Visit<decltype(take)> visit{take};
    const auto each = [](void *user, const eplb_answer *given) -> std::int32_t {
        return static_cast<decltype(visit) *>(user)->call(given);
    };
    visit.finish(
        eplb_report_read(report.data(), report.size(), nullptr, nullptr, each, &visit));
    return answers;
}

// The report of a rank after a step, for a leader.
inline std::vector<std::uint8_t> write_report(std::uint32_t rank, std::uint64_t step,
                                              const eplb_load *load,
                                              const std::vector<Answer> &answers) {
    std::vector<eplb_answer> given;
    std::size_t guess = 128 + (load == nullptr ? 0 : 8 * load->count);
    for (const auto &answer : answers) {
        auto next = sized<eplb_answer>();
        next.kind = answer.kind;
        next.token = answer.token;
        next.step = answer.step;
        next.reason = answer.reason.c_str();
        guess += 32 + answer.reason.size();
        given.push_back(next);
    }
    return detail::written_by(guess, [&](void *data, std::size_t capacity, std::size_t *written) {
        return eplb_report_write(rank, step, load, given.data(), given.size(), data, capacity,
                                 written);
    });
}

} // namespace eplb

#endif
