// Headers and reports taken apart and made: what goes in comes out, and wrong bytes, kinds and lengths are errors.
#include "case.hpp"
#include "group.hpp"

#include <eplb_message.hpp>

using misuse::require;

namespace {

std::vector<eplb::Directive> directives() {
    eplb::Directive prepare{EPLB_DIRECTIVE_PREPARE, 0, 3, 5, 6, 0, {1, 0, 1}, {65535, 65535, 0}};
    eplb::Directive commit{EPLB_DIRECTIVE_COMMIT, 1, 4, 0, 8, 12, {}, {}};
    eplb::Directive revert{EPLB_DIRECTIVE_REVERT, 2, 9, 0, 1, 13, {}, {}};
    return {prepare, commit, revert};
}

const std::vector<std::uint64_t> EPOCHS = {5, 8, 1};

std::int32_t stop_directive(void *, const eplb_directive *) { return 1; }
std::int32_t stop_answer(void *, const eplb_answer *) { return 1; }

} // namespace

CASE("headers that were made are read as they were") {
    const auto given = directives();
    const auto read = eplb::read_header(eplb::write_header(12, EPOCHS, given));
    require(read.size() == given.size(), "another number of directives");
    for (std::size_t index = 0; index < read.size(); ++index) {
        const auto &left = given[index];
        const auto &right = read[index];
        require(left.kind == right.kind && left.layer == right.layer && left.token == right.token &&
                    left.from_epoch == right.from_epoch && left.epoch == right.epoch &&
                    left.at_step == right.at_step && left.experts == right.experts &&
                    left.shares == right.shares,
                "another directive");
    }
}

CASE("reports that were made are read as they were") {
    const std::vector<eplb::Answer> given = {{EPLB_ANSWER_PREPARED, 1, 0, ""},
                                             {EPLB_ANSWER_REFUSED, 2, 0, "no memory"},
                                             {EPLB_ANSWER_COMMITTED, 3, 7, ""},
                                             {EPLB_ANSWER_COMMIT_FAILED, 4, 0, "device"},
                                             {EPLB_ANSWER_REVERTED, 5, 0, ""},
                                             {EPLB_ANSWER_REVERT_FAILED, 6, 0, "device"}};
    const auto report = eplb::write_report(2, 7, nullptr, given);
    const auto read = eplb::read_report(report);
    require(read.size() == given.size(), "another number of answers");
    for (std::size_t index = 0; index < read.size(); ++index) {
        require(given[index].kind == read[index].kind && given[index].token == read[index].token &&
                    given[index].step == read[index].step && given[index].reason == read[index].reason,
                "another answer");
    }
    std::uint32_t rank = 0;
    std::uint64_t step = 0;
    const auto go_on = [](void *, const eplb_answer *) -> std::int32_t { return 0; };
    EXPECT(EPLB_OK, eplb_report_read(report.data(), report.size(), &rank, &step, go_on, nullptr));
    require(rank == 2 && step == 7, "another rank or step");
}

CASE("bytes that are no message") {
    auto header = eplb::write_header(1, EPOCHS, {});
    const auto report = eplb::write_report(0, 1, nullptr, {});
    EXPECT(EPLB_ERROR_HEADER,
           eplb_header_read(report.data(), report.size(), nullptr, stop_directive, nullptr));
    EXPECT(EPLB_ERROR_REPORT,
           eplb_report_read(header.data(), header.size(), nullptr, nullptr, stop_answer, nullptr));
    header.back() ^= 1;
    EXPECT(EPLB_ERROR_HEADER,
           eplb_header_read(header.data(), header.size(), nullptr, stop_directive, nullptr));
    EXPECT(EPLB_ERROR_HEADER, eplb_header_read(nullptr, 0, nullptr, stop_directive, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_header_read(nullptr, 8, nullptr, stop_directive, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_report_read(report.data(), report.size(), nullptr, nullptr, nullptr, nullptr));
}

CASE("visits of messages that end") {
    const auto header = eplb::write_header(12, EPOCHS, directives());
    EXPECT(EPLB_ERROR_CALLBACK,
           eplb_header_read(header.data(), header.size(), nullptr, stop_directive, nullptr));
    const auto report = eplb::write_report(0, 1, nullptr, {{EPLB_ANSWER_PREPARED, 1, 0, ""}});
    EXPECT(EPLB_ERROR_CALLBACK,
           eplb_report_read(report.data(), report.size(), nullptr, nullptr, stop_answer, nullptr));
}

CASE("rooms that are too small, and kinds that are none") {
    unsigned char bytes[256];
    std::size_t written = 0;
    EXPECT(EPLB_ERROR_LENGTH,
           eplb_header_write(1, EPOCHS.data(), 3, nullptr, 0, bytes, 8, &written));
    const std::size_t needed = written;
    EXPECT(EPLB_OK, eplb_header_write(1, EPOCHS.data(), 3, nullptr, 0, bytes, needed, &written));
    require(written == needed, "another length");
    EXPECT(EPLB_ERROR_NULL, eplb_header_write(1, EPOCHS.data(), 3, nullptr, 0, bytes, 256, nullptr));
    auto directive = eplb::sized<eplb_directive>();
    EXPECT(EPLB_ERROR_ARGUMENT,
           eplb_header_write(1, EPOCHS.data(), 3, &directive, 1, bytes, 256, &written));
    directive.kind = EPLB_DIRECTIVE_PREPARE;
    directive.expert_count = 4;
    EXPECT(EPLB_ERROR_NULL, eplb_header_write(1, EPOCHS.data(), 3, &directive, 1, bytes, 256, &written));
    directive.struct_size = 1;
    EXPECT(EPLB_ERROR_STRUCT_SIZE,
           eplb_header_write(1, EPOCHS.data(), 3, &directive, 1, bytes, 256, &written));
    auto answer = eplb::sized<eplb_answer>();
    answer.kind = 7;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_report_write(0, 1, nullptr, &answer, 1, bytes, 256, &written));
    answer.kind = EPLB_ANSWER_REFUSED;
    answer.reason = "\xff";
    EXPECT(EPLB_ERROR_TEXT, eplb_report_write(0, 1, nullptr, &answer, 1, bytes, 256, &written));
    auto load = eplb::sized<eplb_load>();
    load.form = 9;
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_report_write(0, 1, &load, nullptr, 0, bytes, 256, &written));
}
