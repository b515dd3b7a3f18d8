#include "capture.h"

namespace emulated {

namespace {
// How often a waiting stream looks whether it was interrupted.
constexpr std::chrono::milliseconds LOOK{2};
}

Capture::State Capture::state() {
    std::lock_guard lock(mutex_);
    return state_;
}

Capture::State Capture::query() {
    const State found = state();
    if (found == State::complete) HostClock::process().saw(clock_);
    return found;
}

Capture::State Capture::wait(std::optional<std::chrono::steady_clock::time_point> deadline) {
    {
        std::unique_lock lock(mutex_);
        const auto settled = [this] { return state_ != State::pending; };
        if (deadline) {
            changed_.wait_until(lock, *deadline, settled);
        } else {
            changed_.wait(lock, settled);
        }
    }
    return query();
}

bool Capture::wait_on_device(const std::function<bool()> &interrupted) {
    std::unique_lock lock(mutex_);
    while (state_ != State::complete) {
        changed_.wait_for(lock, LOOK);
        if (state_ == State::complete) break;
        lock.unlock();
        if (interrupted()) return false;
        lock.lock();
    }
    return true;
}

void Capture::reached() {
    std::lock_guard lock(mutex_);
    if (state_ != State::pending) return;
    state_ = State::complete;
    time_ = std::chrono::steady_clock::now();
    changed_.notify_all();
}

void Capture::drop() {
    std::lock_guard lock(mutex_);
    if (state_ != State::pending) return;
    state_ = State::dropped;
    changed_.notify_all();
}

std::chrono::steady_clock::time_point Capture::time() {
    std::lock_guard lock(mutex_);
    return time_;
}

} // namespace emulated
