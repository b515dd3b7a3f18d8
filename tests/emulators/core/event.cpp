#include "event.h"

#include <atomic>

#include "orders.h"

namespace emulated {

namespace {
std::atomic<std::uint64_t> alive{0};
constexpr std::uint64_t MOST_EVENTS = 65536;
}

Outcome Event::create(std::shared_ptr<Context> context, std::uint64_t flags, std::shared_ptr<Event> *event) {
    if (alive >= Orders::all().limit("events", MOST_EVENTS)) {
        return Outcome::failed(Fault::out_of_events, std::to_string(alive) + " events are alive");
    }
    event->reset(new Event(std::move(context), flags));
    return Outcome::success();
}

Event::Event(std::shared_ptr<Context> context, std::uint64_t flags)
    : context_(std::move(context)), flags_(flags) {
    ++alive;
}

Event::~Event() { --alive; }

void Event::record(const char *function, Stream &stream) {
    auto capture = stream.capture(function);
    std::lock_guard lock(mutex_);
    captured_ = std::move(capture);
}

std::shared_ptr<Capture> Event::captured() {
    std::lock_guard lock(mutex_);
    return captured_;
}

} // namespace emulated
