#include "stream.h"

#include <atomic>

#include "machine.h"

namespace emulated {

namespace {

std::atomic<std::uint64_t> streams{0};
constexpr std::uint64_t MOST_STREAMS = 1024;

// Garbage that differs from what it was.
void garble(const std::vector<Use> &uses) {
    for (const auto &use : uses) {
        for (std::size_t index = 0; use.writes && index < use.span.bytes; ++index) {
            use.span.data[index] ^= std::byte{0x5A};
        }
    }
}

} // namespace

Outcome Stream::create(std::shared_ptr<Context> context, int priority, std::uint64_t flags,
                       std::shared_ptr<Stream> *stream) {
    std::uint64_t alive = 0;
    for (const auto &other : Machine::here().streams.all()) {
        alive += other->context()->device() == context->device() ? 1 : 0;
    }
    if (alive >= Orders::all().limit("streams", MOST_STREAMS)) {
        return Outcome::failed(Fault::out_of_streams, std::to_string(alive) + " streams are alive");
    }
    return create_beyond_limit(std::move(context), priority, flags, stream);
}

Outcome Stream::create_beyond_limit(std::shared_ptr<Context> context, int priority, std::uint64_t flags,
                                    std::shared_ptr<Stream> *stream) {
    std::shared_ptr<Stream> made(new Stream(std::move(context), priority, flags));
    made->context_->add(made);
    // The thread keeps the stream until it is closed and all its work is over.
    std::thread([made] { made->work(); }).detach();
    *stream = std::move(made);
    return Outcome::success();
}

Stream::Stream(std::shared_ptr<Context> context, int priority, std::uint64_t flags)
    : id_(++streams), context_(std::move(context)), priority_(priority), flags_(flags) {}

Stream::~Stream() = default;

void Stream::set_on_failure(OnFailure mode) {
    std::lock_guard lock(mutex_);
    on_failure_ = mode;
}

Outcome Stream::push(const char *function, const Ordered &ordered, Task task, bool is_work) {
    auto entry = std::make_shared<Entry>();
    entry->task = std::move(task);
    entry->function = function;
    entry->ordered = ordered;
    Outcome refused;
    {
        std::lock_guard lock(mutex_);
        if (const auto broken = context_->broken()) {
            refused = *broken;
        } else if (closed_) {
            refused = Outcome::failed(Fault::invalid_handle, "the stream was destroyed");
        } else if (failure_ && on_failure_ == OnFailure::stop) {
            refused = *failure_;
        } else {
            entry->number = ++queued_;
            const Point point{id_, entry->number};
            if (is_work) {
                const int device = context_->device()->ordinal();
                Memory::all().note(function, point, clock_, device, entry->task.uses);
            }
            clock_.advance(point);
            queue_.push_back(entry);
            changed_.notify_all();
        }
    }
    if (!refused.ok() && entry->task.dropped) entry->task.dropped();
    return refused;
}

Outcome Stream::enqueue(const Call &call, Task task) {
    return push(call.function(), call.ordered(), std::move(task), true);
}

std::shared_ptr<Capture> Stream::capture(const char *function) {
    std::shared_ptr<Capture> capture;
    {
        std::lock_guard lock(mutex_);
        capture = std::make_shared<Capture>(context_->id(), clock_);
    }
    Task task;
    task.run = [capture](Stream &) {
        capture->reached();
        return Outcome::success();
    };
    task.dropped = [capture] { capture->drop(); };
    push(function, {}, std::move(task), false);
    return capture;
}

Outcome Stream::wait_for(const Call &call, std::shared_ptr<Capture> capture) {
    return push_wait(call.function(), call.ordered(), std::move(capture));
}

Outcome Stream::wait_for(const char *function, std::shared_ptr<Capture> capture) {
    return push_wait(function, {}, std::move(capture));
}

Outcome Stream::push_wait(const char *function, const Ordered &ordered, std::shared_ptr<Capture> capture) {
    Task task;
    task.run = [capture](Stream &stream) {
        if (capture->wait_on_device([&stream] { return stream.is_interrupted(); })) return Outcome::success();
        return Outcome::failed(Fault::aborted, "the wait for an event was given up");
    };
    Outcome pushed = push(function, ordered, std::move(task), false);
    if (pushed.ok()) {
        std::lock_guard lock(mutex_);
        clock_.join(capture->clock());
    }
    return pushed;
}

Outcome Stream::call_host(const Call &call, void (*function)(void *), void *argument) {
    Task task;
    task.run = [function, argument](Stream &) {
        const Call::InCallback inside;
        function(argument);
        return Outcome::success();
    };
    return push(call.function(), call.ordered(), std::move(task), true);
}

bool Stream::is_idle() {
    std::lock_guard lock(mutex_);
    return queue_.empty() && running_ == nullptr;
}

Progress Stream::query() {
    if (context_->broken()) return Progress::failed;
    std::lock_guard lock(mutex_);
    if (!queue_.empty() || running_ != nullptr) return Progress::pending;
    HostClock::process().saw(clock_);
    return failure_ ? Progress::failed : Progress::complete;
}

Outcome Stream::synchronize(std::optional<std::chrono::steady_clock::time_point> deadline) {
    std::unique_lock lock(mutex_);
    const std::uint64_t aborts = aborts_;
    const auto settled = [&] { return (queue_.empty() && running_ == nullptr) || aborts_ != aborts; };
    if (deadline) {
        if (!changed_.wait_until(lock, *deadline, settled)) {
            return Outcome::failed(Fault::timed_out, "the stream still has work");
        }
    } else {
        changed_.wait(lock, settled);
    }
    if (const auto broken = context_->broken()) return *broken;
    if (aborts_ != aborts) return Outcome::failed(Fault::aborted, "the stream was aborted");
    HostClock::process().saw(clock_);
    return failure_ ? *failure_ : Outcome::success();
}

std::optional<Outcome> Stream::failure() {
    std::lock_guard lock(mutex_);
    return failure_;
}

std::optional<Outcome> Stream::take_failure() {
    std::lock_guard lock(mutex_);
    auto failure = std::move(failure_);
    failure_.reset();
    return failure;
}

void Stream::abort() {
    std::deque<std::shared_ptr<Entry>> given_up;
    std::shared_ptr<Entry> running;
    {
        std::lock_guard lock(mutex_);
        aborts_ += 1;
        given_up.swap(queue_);
        running = running_;
        interrupted_ = running != nullptr;
        changed_.notify_all();
    }
    if (running != nullptr && running->task.interrupt) running->task.interrupt();
    for (const auto &entry : given_up) {
        if (entry->task.dropped) entry->task.dropped();
    }
}

bool Stream::is_interrupted() {
    if (context_->broken()) return true;
    std::lock_guard lock(mutex_);
    return interrupted_;
}

void Stream::close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
}

bool Stream::pause(std::chrono::microseconds time) {
    std::unique_lock lock(mutex_);
    const auto deadline = std::chrono::steady_clock::now() + time;
    return !changed_.wait_until(lock, deadline, [this] { return interrupted_; });
}

Outcome Stream::run(Entry &entry) {
    if (entry.ordered.delay.count() > 0 && !pause(entry.ordered.delay)) {
        if (entry.task.dropped) entry.task.dropped();
        return Outcome::failed(Fault::aborted, "the stream was aborted");
    }
    if (entry.ordered.fail_later) {
        if (entry.task.dropped) entry.task.dropped();
        return Outcome::by_order(*entry.ordered.fail_later);
    }
    Outcome outcome = entry.task.run ? entry.task.run(*this) : Outcome::success();
    if (entry.ordered.garble) garble(entry.task.uses);
    return outcome;
}

void Stream::work() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return closed_ || !queue_.empty(); });
        if (queue_.empty()) return;
        auto entry = std::move(queue_.front());
        queue_.pop_front();
        running_ = entry;
        interrupted_ = false;
        lock.unlock();
        Outcome outcome = run(*entry);
        const bool is_aborted = is_interrupted() && outcome.fault == Fault::aborted;
        if (!outcome.ok() && !is_aborted) {
            outcome.text = entry->function + ": " + outcome.text;
            if (context_->failures_break_it()) context_->break_by(outcome);
        }
        std::deque<std::shared_ptr<Entry>> given_up;
        lock.lock();
        if (!outcome.ok() && !is_aborted) {
            if (!failure_) failure_ = outcome;
            if (on_failure_ == OnFailure::stop) given_up.swap(queue_);
        }
        interrupted_ = false;
        lock.unlock();
        for (const auto &left : given_up) {
            if (left->task.dropped) left->task.dropped();
        }
        // What it held goes before anybody sees it over.
        given_up.clear();
        entry->task = {};
        lock.lock();
        running_.reset();
        entry.reset();
        changed_.notify_all();
    }
}

} // namespace emulated
