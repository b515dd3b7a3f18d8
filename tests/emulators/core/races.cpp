// The part of Memory that watches the order of accesses.
#include <algorithm>

#include "machine.h"
#include "memory.h"
#include "violations.h"

namespace emulated {

namespace {

// What the host never looks at is forgotten at some point.
constexpr std::size_t MOST_ACCESSES = 4096;

bool overlap(const Access &one, std::size_t first, std::size_t bytes) {
    return one.first < first + bytes && first < one.first + one.bytes;
}

void forget_what_is_over(Allocation &allocation) {
    auto &accesses = allocation.accesses;
    const auto is_over = [](const Access &access) { return HostClock::process().covers(access.point); };
    accesses.erase(std::remove_if(accesses.begin(), accesses.end(), is_over), accesses.end());
    if (accesses.size() > MOST_ACCESSES) {
        accesses.erase(accesses.begin(), accesses.begin() + static_cast<std::ptrdiff_t>(MOST_ACCESSES / 2));
    }
}

void report(const char *function, const Access &other, bool writes) {
    const auto verb = [](bool is_write) { return std::string(is_write ? "writes" : "reads"); };
    Violations::all().report("race", std::string(function) + " " + verb(writes) + " what " + other.function +
                                         " " + verb(other.writes) +
                                         ", and nothing orders the two: no event, no stream, no wait");
}

} // namespace

void Memory::note(const char *function, Point point, const Clock &before, int device,
                  const std::vector<Use> &uses) {
    std::lock_guard lock(mutex_);
    bool reported = false;
    for (const auto &use : uses) {
        if (use.span.allocation == nullptr || use.span.bytes == 0) continue;
        auto &allocation = *use.span.allocation;
        const std::size_t first = use.span.address - allocation.address;
        forget_what_is_over(allocation);
        for (const auto &access : allocation.accesses) {
            // Ranks of one process order themselves by collectives, which are not followed here.
            if (reported || access.device != device || (!access.writes && !use.writes)) continue;
            if (access.point.stream == point.stream || !overlap(access, first, use.span.bytes)) continue;
            if (before.covers(access.point)) continue;
            report(function, access, use.writes);
            reported = true;
        }
        allocation.accesses.push_back({point, first, use.span.bytes, use.writes, function, device});
    }
}

void Memory::note_host(const char *function, const Span &span, bool writes) {
    if (span.allocation == nullptr) return;
    std::lock_guard lock(mutex_);
    auto &allocation = *span.allocation;
    const std::size_t first = span.address - allocation.address;
    forget_what_is_over(allocation);
    for (const auto &access : allocation.accesses) {
        if ((!access.writes && !writes) || !overlap(access, first, span.bytes)) continue;
        report(function, access, writes);
        return;
    }
}

bool Memory::report_overlaps(const char *function, const std::vector<Use> &uses) {
    std::vector<const Use *> sorted;
    for (const auto &use : uses) {
        if (use.span.bytes > 0) sorted.push_back(&use);
    }
    std::sort(sorted.begin(), sorted.end(),
              [](const Use *left, const Use *right) { return left->span.address < right->span.address; });
    std::uintptr_t end_of_all = 0;
    std::uintptr_t end_of_writes = 0;
    for (const auto *use : sorted) {
        const std::uintptr_t end = use->span.address + use->span.bytes;
        if (use->span.address < (use->writes ? end_of_all : end_of_writes)) {
            Violations::all().report("overlapping_ranges",
                                     std::string(function) + ": ranges of one call overlap, and one is written");
            return true;
        }
        end_of_all = std::max(end_of_all, end);
        if (use->writes) end_of_writes = std::max(end_of_writes, end);
    }
    return false;
}

} // namespace emulated
