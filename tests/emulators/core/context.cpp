#include "context.h"

#include "stream.h"

namespace emulated {

namespace {
std::atomic<std::uint64_t> contexts{0};
}

Context::Context(std::shared_ptr<Device> device, bool failures_break_it)
    : id_(++contexts), device_(std::move(device)), failures_break_it_(failures_break_it) {}

std::optional<Outcome> Context::broken() const {
    std::lock_guard lock(mutex_);
    return broken_;
}

void Context::break_by(const Outcome &outcome) {
    {
        std::lock_guard lock(mutex_);
        if (broken_) return;
        broken_ = outcome;
    }
    for (const auto &stream : streams()) stream->abort();
}

void Context::add(const std::shared_ptr<Stream> &stream) {
    std::lock_guard lock(mutex_);
    streams_.push_back(stream);
}

std::vector<std::shared_ptr<Stream>> Context::streams() const {
    std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Stream>> alive;
    std::vector<std::weak_ptr<Stream>> kept;
    for (const auto &weak : streams_) {
        if (auto stream = weak.lock()) {
            alive.push_back(std::move(stream));
            kept.push_back(weak);
        }
    }
    streams_ = std::move(kept);
    return alive;
}

void Context::synchronize() const {
    for (const auto &stream : streams()) stream->synchronize();
}

} // namespace emulated
