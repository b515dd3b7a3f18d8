// A point of a stream that an event captured.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>

#include "clock.h"

namespace emulated {

class EMULATED_API Capture {
public:
    // `dropped`: the stream was aborted or stopped before it got there; it never will.
    enum class State { pending, complete, dropped };

    Capture(std::uint64_t context, Clock clock) : context_(context), clock_(std::move(clock)) {}

    State state();
    // As `state`, and if it is complete the host has seen it.
    State query();
    // Waits until it is complete (the host has seen it then), dropped, or the deadline is over.
    State wait(std::optional<std::chrono::steady_clock::time_point> deadline = {});
    // Waits as a stream does: without the host's seeing it, until `interrupted` says so. For ever
    // if it was dropped, as the device would.
    bool wait_on_device(const std::function<bool()> &interrupted);
    void reached();
    void drop();

    std::uint64_t context() const { return context_; }
    const Clock &clock() const { return clock_; }
    // When it was reached.
    std::chrono::steady_clock::time_point time();

private:
    const std::uint64_t context_;
    const Clock clock_;
    std::mutex mutex_;
    std::condition_variable changed_;
    State state_ = State::pending;
    std::chrono::steady_clock::time_point time_;
};

} // namespace emulated
