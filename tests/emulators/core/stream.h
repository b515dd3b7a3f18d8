// A stream: a thread that runs tasks in order.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "call.h"
#include "capture.h"
#include "clock.h"
#include "context.h"
#include "memory.h"

namespace emulated {

// Where a stream stands.
enum class Progress { complete, pending, failed };

class Stream;

// What runs on a stream.
struct Task {
    // Runs on the stream's thread. It may take long only if it looks at `stream.is_interrupted()`, or
    // if `interrupt` ends it. Null does nothing.
    std::function<Outcome(Stream &stream)> run;
    // Called instead of `run`, on any thread, if the task is given up.
    std::function<void()> dropped;
    // Called, from any thread, when the stream is aborted while `run` runs.
    std::function<void()> interrupt;
    // What it reads and writes: held until it is over, watched for races, garbled by order.
    std::vector<Use> uses;
};

class EMULATED_API Stream : public std::enable_shared_from_this<Stream> {
public:
    // What happens to tasks after a failed one.
    enum class OnFailure { go_on, stop };

    // Starts the thread. `out_of_streams` if there are as many as the limit says.
    static Outcome create(std::shared_ptr<Context> context, int priority, std::uint64_t flags,
                          std::shared_ptr<Stream> *stream);
    // For streams that are there without being asked for.
    static Outcome create_beyond_limit(std::shared_ptr<Context> context, int priority, std::uint64_t flags,
                                       std::shared_ptr<Stream> *stream);
    ~Stream();

    std::uint64_t id() const { return id_; }
    const std::shared_ptr<Context> &context() const { return context_; }
    int priority() const { return priority_; }
    std::uint64_t flags() const { return flags_; }
    void set_on_failure(OnFailure mode);

    // Queues a task, with what is ordered for the call. On a stream that has stopped or is broken the
    // task is dropped and the failure returned.
    Outcome enqueue(const Call &call, Task task);
    // Captures the work queued so far (an event's record).
    std::shared_ptr<Capture> capture(const char *function);
    // Makes later tasks wait for a capture.
    Outcome wait_for(const Call &call, std::shared_ptr<Capture> capture);
    // The same for an order that the library itself makes, without orders.
    Outcome wait_for(const char *function, std::shared_ptr<Capture> capture);
    // Queues a host callback.
    Outcome call_host(const Call &call, void (*function)(void *), void *argument);

    // Lets the host see what is over.
    Progress query();
    // Waits until the stream is idle, `timed_out` after the deadline. The failure, if it has one.
    Outcome synchronize(std::optional<std::chrono::steady_clock::time_point> deadline = {});
    // The first failure, which stays; `take_failure` clears it, for a stream that goes on.
    std::optional<Outcome> failure();
    std::optional<Outcome> take_failure();
    bool is_idle();

    // Drops queued tasks and interrupts the one that runs; who waits gets `aborted`.
    void abort();
    bool is_interrupted();
    // No more tasks; queued ones still run. The stream lives on until they are over.
    void close();

private:
    struct Entry {
        Task task;
        std::string function;
        Ordered ordered;
        std::uint64_t number = 0;
    };

    Stream(std::shared_ptr<Context> context, int priority, std::uint64_t flags);
    Outcome push_wait(const char *function, const Ordered &ordered, std::shared_ptr<Capture> capture);
    Outcome push(const char *function, const Ordered &ordered, Task task, bool is_work);
    void work();
    Outcome run(Entry &entry);
    bool pause(std::chrono::microseconds time);

    const std::uint64_t id_;
    const std::shared_ptr<Context> context_;
    const int priority_;
    const std::uint64_t flags_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::shared_ptr<Entry>> queue_;
    std::shared_ptr<Entry> running_;
    std::uint64_t queued_ = 0;
    std::uint64_t over_ = 0;
    // What the next task comes after, other streams' work included.
    Clock clock_;
    OnFailure on_failure_ = OnFailure::go_on;
    std::optional<Outcome> failure_;
    std::uint64_t aborts_ = 0;
    bool interrupted_ = false;
    bool closed_ = false;
};

} // namespace emulated
