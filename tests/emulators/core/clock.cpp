#include "clock.h"

#include <algorithm>

namespace emulated {

void Clock::advance(Point point) {
    auto &number = numbers_[point.stream];
    number = std::max(number, point.number);
}

void Clock::join(const Clock &other) {
    for (const auto &[stream, number] : other.numbers_) advance({stream, number});
}

bool Clock::covers(Point point) const {
    const auto found = numbers_.find(point.stream);
    return found != numbers_.end() && found->second >= point.number;
}

HostClock &HostClock::process() {
    static auto *const clock = new HostClock;
    return *clock;
}

void HostClock::saw(const Clock &clock) {
    std::lock_guard lock(mutex_);
    clock_.join(clock);
}

void HostClock::saw(Point point) {
    std::lock_guard lock(mutex_);
    clock_.advance(point);
}

bool HostClock::covers(Point point) {
    std::lock_guard lock(mutex_);
    return clock_.covers(point);
}

Clock HostClock::now() {
    std::lock_guard lock(mutex_);
    return clock_;
}

} // namespace emulated
