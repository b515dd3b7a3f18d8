// Streams, and callbacks on them.
#include <chrono>
#include <condition_variable>
#include <deque>
#include <map>
#include <pthread.h>

#include "ascend/state/library.h"

#include "core/machine.h"
#include "core/orders.h"

using namespace emulated;

namespace {

// As the manual has it for A2 and A3.
constexpr std::uint64_t MOST_STREAMS = 1984;
constexpr std::uint32_t KNOWN_FLAGS = 0x3F;
// An event is seen to be complete shortly before its stream is idle.
constexpr std::chrono::milliseconds WINDING_UP{2};
// How long destroying a stream waits for its work.
constexpr std::chrono::seconds DESTROY_LIMIT{60};

// Callbacks that wait for the threads that process them.
class Reports {
public:
    static Reports &all() {
        static auto *const reports = new Reports;
        return *reports;
    }

    struct Report {
        aclrtCallback callback;
        void *user_data;
        bool done = false;
    };

    void give(std::uint64_t thread, const std::shared_ptr<Report> &report) {
        std::lock_guard lock(mutex_);
        waiting_[thread].push_back(report);
        changed_.notify_all();
    }

    // False when the time is over.
    bool run_one(std::uint64_t thread, std::chrono::milliseconds limit) {
        std::unique_lock lock(mutex_);
        const auto is_there = [&] { return !waiting_[thread].empty(); };
        if (limit.count() < 0) {
            changed_.wait(lock, is_there);
        } else if (!changed_.wait_for(lock, limit, is_there)) {
            return false;
        }
        const auto report = waiting_[thread].front();
        waiting_[thread].pop_front();
        lock.unlock();
        {
            const Call::InCallback inside;
            report->callback(report->user_data);
        }
        lock.lock();
        report->done = true;
        changed_.notify_all();
        return true;
    }

    // Waits as a stream does.
    bool wait_done(const Report &report, Stream &stream) {
        std::unique_lock lock(mutex_);
        while (!report.done) {
            changed_.wait_for(lock, std::chrono::milliseconds(2));
            lock.unlock();
            const bool interrupted = stream.is_interrupted();
            lock.lock();
            if (interrupted && !report.done) return false;
        }
        return true;
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::uint64_t, std::deque<std::shared_ptr<Report>>> waiting_;
};

aclError synchronize(AscendCall &call, aclrtStream handle, std::int32_t timeout) {
    if (call.ends()) return call.end();
    if (timeout < -1) return call.end(Fault::invalid_argument, "allowed are -1, for no limit, and more");
    std::shared_ptr<StreamNote> stream;
    const Outcome found = Library::here().stream_of(call.function(), handle, &stream);
    if (!found.ok()) return call.end(found);
    std::optional<std::chrono::steady_clock::time_point> deadline;
    if (timeout >= 0) deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout);
    const Outcome waited = stream->stream->synchronize(deadline);
    if (waited.fault == Fault::timed_out && !stream->stream->is_idle()) {
        return call.end_with(ACL_ERROR_RT_STREAM_SYNC_TIMEOUT, "the stream still has work");
    }
    // A stream that goes on at failures tells of one once.
    if (!waited.ok() && !call.note()->stops) stream->stream->take_failure();
    return call.end(waited);
}

} // namespace

extern "C" {

EMULATED_API aclError aclrtCreateStreamWithConfig(aclrtStream *stream, uint32_t, uint32_t flags) {
    AscendCall call("aclrtCreateStreamWithConfig", Needs::context);
    if (call.ends()) return call.end();
    if (stream == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    if ((flags & ~KNOWN_FLAGS) != 0) return call.end(Fault::invalid_argument, "a flag is not known");
    std::shared_ptr<StreamNote> made;
    const Outcome created = Library::here().create_stream(*call.note(), flags, false, &made);
    if (created.ok()) *stream = made->handle;
    return call.end(created);
}

} // extern "C"

namespace {

aclError destroy(AscendCall &call, aclrtStream handle, bool is_forced) {
    if (call.ends()) return call.end();
    if (handle == nullptr) return call.end(Fault::invalid_argument, "the default stream is not destroyed");
    std::shared_ptr<StreamNote> stream;
    const Outcome found = Library::here().stream_of(call.function(), handle, &stream);
    if (!found.ok()) return call.end(found);
    if (is_forced) {
        stream->stream->abort();
    } else if (stream->stream->synchronize(std::chrono::steady_clock::now() + WINDING_UP).fault == Fault::timed_out) {
        call.report("stream_destroyed_with_work", "the stream still has work; wait for it, or force it");
    }
    const auto deadline = std::chrono::steady_clock::now() + DESTROY_LIMIT;
    stream->stream->synchronize(deadline);
    stream->stream->close();
    Library::here().forget_stream(*call.note(), *stream);
    Machine::here().streams.remove(handle);
    return call.end();
}

} // namespace

extern "C" {

EMULATED_API aclError aclrtDestroyStream(aclrtStream stream) {
    AscendCall call("aclrtDestroyStream", Needs::context);
    return destroy(call, stream, false);
}

EMULATED_API aclError aclrtDestroyStreamForce(aclrtStream stream) {
    AscendCall call("aclrtDestroyStreamForce", Needs::context);
    return destroy(call, stream, true);
}

// Tells whether there is work, and nothing of failures: these show when the stream is waited for.
EMULATED_API aclError aclrtStreamQuery(aclrtStream handle, aclrtStreamStatus *status) {
    AscendCall call("aclrtStreamQuery", Needs::context);
    if (call.ends()) return call.end();
    if (status == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    std::shared_ptr<StreamNote> stream;
    const Outcome found = Library::here().stream_of(call.function(), handle, &stream);
    if (!found.ok()) return call.end(found);
    const bool is_pending = stream->stream->query() == Progress::pending;
    *status = is_pending ? ACL_STREAM_STATUS_NOT_READY : ACL_STREAM_STATUS_COMPLETE;
    return call.end();
}

EMULATED_API aclError aclrtSynchronizeStream(aclrtStream stream) {
    AscendCall call("aclrtSynchronizeStream", Needs::context);
    return synchronize(call, stream, -1);
}

EMULATED_API aclError aclrtSynchronizeStreamWithTimeout(aclrtStream stream, int32_t timeout) {
    AscendCall call("aclrtSynchronizeStreamWithTimeout", Needs::context);
    return synchronize(call, stream, timeout);
}

// The mode spreads to all streams of the context.
EMULATED_API aclError aclrtSetStreamFailureMode(aclrtStream handle, uint64_t mode) {
    AscendCall call("aclrtSetStreamFailureMode", Needs::context);
    if (call.ends()) return call.end();
    if (mode > ACL_STOP_ON_FAILURE) return call.end(Fault::invalid_argument, "no such mode");
    std::shared_ptr<StreamNote> stream;
    const Outcome found = Library::here().stream_of(call.function(), handle, &stream);
    if (!found.ok()) return call.end(found);
    if (stream->mode_is_set) {
        call.report("failure_mode_set_twice", "the mode of a stream is set once");
        return call.end(Fault::invalid_argument, "the mode of the stream was set before");
    }
    if (stream->has_had_tasks) call.report("failure_mode_set_late", "the stream has had tasks before");
    stream->mode_is_set = true;
    if (mode == ACL_STOP_ON_FAILURE) Library::here().stop_at_failures(*call.note());
    return call.end();
}

EMULATED_API aclError aclrtStreamAbort(aclrtStream handle) {
    AscendCall call("aclrtStreamAbort", Needs::context);
    if (call.ends()) return call.end();
    if (Orders::all().refuses("stream_abort")) return call.end(Fault::unsupported, "refused by an order");
    std::shared_ptr<StreamNote> stream;
    const Outcome found = Library::here().stream_of(call.function(), handle, &stream);
    if (!found.ok()) return call.end(found);
    stream->stream->abort();
    return call.end();
}

EMULATED_API aclError aclrtGetStreamAvailableNum(uint32_t *count) {
    AscendCall call("aclrtGetStreamAvailableNum", Needs::context);
    if (call.ends()) return call.end();
    if (count == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    const std::uint64_t most = Orders::all().limit("streams", MOST_STREAMS);
    const std::uint64_t alive = Machine::here().streams.live();
    *count = static_cast<uint32_t>(alive < most ? most - alive : 0);
    return call.end();
}

EMULATED_API aclError aclrtLaunchHostFunc(aclrtStream handle, aclrtHostFunc function, void *arguments) {
    AscendCall call("aclrtLaunchHostFunc", Needs::context);
    if (call.ends()) return call.end();
    if (function == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the function is null");
    std::shared_ptr<StreamNote> stream;
    const Outcome found = Library::here().stream_of(call.function(), handle, &stream);
    if (!found.ok()) return call.end(found);
    if (stream->has_callbacks) call.report("two_kinds_of_callbacks", "the stream has callbacks of the other kind");
    stream->has_host_functions = true;
    stream->has_had_tasks = true;
    return call.end(stream->stream->call_host(call, function, arguments));
}

EMULATED_API aclError aclrtLaunchCallback(aclrtCallback callback, void *user_data, aclrtCallbackBlockType block_type,
                                          aclrtStream handle) {
    AscendCall call("aclrtLaunchCallback", Needs::context);
    if (call.ends()) return call.end();
    if (callback == nullptr || block_type > ACL_CALLBACK_BLOCK) {
        return call.end_with(ACL_ERROR_INVALID_PARAM, "the callback is null, or no such way to block");
    }
    std::shared_ptr<StreamNote> stream;
    const Outcome found = Library::here().stream_of(call.function(), handle, &stream);
    if (!found.ok()) return call.end(found);
    if (stream->has_host_functions) {
        call.report("two_kinds_of_callbacks", "the stream has callbacks of the other kind");
    }
    if (!stream->subscriber) {
        call.report("callback_without_subscriber", "no thread is subscribed for the stream's callbacks");
        return call.end(Fault::invalid_argument, "no thread is subscribed for the stream");
    }
    stream->has_callbacks = true;
    stream->has_had_tasks = true;
    const std::uint64_t thread = *stream->subscriber;
    auto report = std::make_shared<Reports::Report>();
    report->callback = callback;
    report->user_data = user_data;
    Task task;
    task.run = [thread, report, block_type](Stream &running) {
        Reports::all().give(thread, report);
        if (block_type == ACL_CALLBACK_NO_BLOCK || Reports::all().wait_done(*report, running)) {
            return Outcome::success();
        }
        return Outcome::failed(Fault::aborted, "the stream was aborted");
    };
    return call.end(stream->stream->enqueue(call, std::move(task)));
}

EMULATED_API aclError aclrtSubscribeReport(uint64_t thread, aclrtStream handle) {
    AscendCall call("aclrtSubscribeReport", Needs::context);
    if (call.ends()) return call.end();
    std::shared_ptr<StreamNote> stream;
    const Outcome found = Library::here().stream_of(call.function(), handle, &stream);
    if (!found.ok()) return call.end(found);
    stream->subscriber = thread;
    return call.end();
}

EMULATED_API aclError aclrtUnSubscribeReport(uint64_t, aclrtStream handle) {
    AscendCall call("aclrtUnSubscribeReport", Needs::context);
    if (call.ends()) return call.end();
    std::shared_ptr<StreamNote> stream;
    const Outcome found = Library::here().stream_of(call.function(), handle, &stream);
    if (!found.ok()) return call.end(found);
    stream->subscriber.reset();
    return call.end();
}

EMULATED_API aclError aclrtProcessReport(int32_t timeout) {
    AscendCall call("aclrtProcessReport", Needs::library);
    if (call.ends()) return call.end();
    if (timeout < -1) return call.end(Fault::invalid_argument, "allowed are -1, for no limit, and more");
    const auto own = static_cast<std::uint64_t>(pthread_self());
    if (Reports::all().run_one(own, std::chrono::milliseconds(timeout))) return call.end();
    return call.end_with(ACL_ERROR_RT_WAIT_TIMEOUT, "no callback came in time");
}

} // extern "C"
