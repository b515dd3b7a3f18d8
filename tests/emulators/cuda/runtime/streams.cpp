// Streams, events, host callbacks.
#include <chrono>

#include "core/event.h"
#include "entry.h"

using emulated::Capture;
using emulated::Cuda;
using emulated::Entry;
using emulated::Event;
using emulated::Machine;
using emulated::Outcome;
using emulated::Progress;
using emulated::Stream;

namespace {

constexpr int LEAST_PRIORITY = 0;
constexpr int GREATEST_PRIORITY = -5;

cudaError_t create_stream(Entry &entry, cudaStream_t *handle, unsigned int flags, int priority) {
    if (entry.ends_without_context()) return entry.refusal();
    if (handle == nullptr || (flags & ~cudaStreamNonBlocking) != 0) return entry.give(cudaErrorInvalidValue);
    if (priority > LEAST_PRIORITY) priority = LEAST_PRIORITY;
    if (priority < GREATEST_PRIORITY) priority = GREATEST_PRIORITY;
    std::shared_ptr<Stream> stream;
    const Outcome made = Stream::create(entry.context(), priority, flags, &stream);
    if (!made.ok()) return entry.give(made);
    *handle = static_cast<cudaStream_t>(Machine::here().streams.add(std::move(stream)));
    return cudaSuccess;
}

// Null and a report if it is no live event.
std::shared_ptr<Event> event_of(const Entry &entry, cudaEvent_t handle) {
    emulated::HandleState state = emulated::HandleState::null;
    auto event = Machine::here().events.find(handle, &state);
    if (event == nullptr) {
        const char *rule =
            state == emulated::HandleState::destroyed ? "use_of_destroyed_event" : "foreign_event";
        emulated::Violations::all().report(rule, std::string(entry.function()) + ": the event " + text_of(state));
    }
    return event;
}

cudaError_t code_of_state(Entry &entry, const Event &event, Capture::State state) {
    if (const auto broken = event.context()->broken()) return entry.give(*broken);
    return state == Capture::State::complete ? cudaSuccess : entry.give(cudaErrorNotReady);
}

} // namespace

extern "C" {

EMULATED_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags) {
    Entry entry("cudaStreamCreateWithFlags");
    return create_stream(entry, stream, flags, 0);
}

EMULATED_API cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags, int priority) {
    Entry entry("cudaStreamCreateWithPriority");
    return create_stream(entry, stream, flags, priority);
}

EMULATED_API cudaError_t cudaStreamDestroy(cudaStream_t handle) {
    Entry entry("cudaStreamDestroy");
    if (entry.ends_without_context()) return entry.refusal();
    if (Cuda::is_null_stream(handle)) return entry.give(cudaErrorInvalidResourceHandle);
    if (Cuda::here().stream(entry.function(), handle, entry.context()) == nullptr) {
        return entry.give(cudaErrorInvalidResourceHandle);
    }
    if (const auto stream = Machine::here().streams.remove(handle)) stream->close();
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    Entry entry("cudaStreamSynchronize");
    if (entry.ends_without_context()) return entry.refusal();
    const auto stream = Cuda::here().stream(entry.function(), handle, entry.context());
    if (stream == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    return entry.give(stream->synchronize());
}

EMULATED_API cudaError_t cudaStreamQuery(cudaStream_t handle) {
    Entry entry("cudaStreamQuery");
    if (entry.ends_without_context()) return entry.refusal();
    const auto stream = Cuda::here().stream(entry.function(), handle, entry.context());
    if (stream == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    const Progress progress = stream->query();
    if (progress == Progress::pending) return entry.give(cudaErrorNotReady);
    if (const auto broken = stream->context()->broken()) return entry.give(*broken);
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned int flags) {
    Entry entry("cudaStreamWaitEvent");
    if (entry.ends_without_context()) return entry.refusal();
    if (flags > 1) return entry.give(cudaErrorInvalidValue);
    const auto stream = Cuda::here().stream(entry.function(), handle, entry.context());
    const auto event = event_of(entry, event_handle);
    if (stream == nullptr || event == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    Cuda::here().order_with_null_stream(stream);
    const auto capture = event->captured();
    // One that was never recorded captures nothing.
    return capture == nullptr ? cudaSuccess : entry.give(stream->wait_for(entry.call(), capture));
}

EMULATED_API cudaError_t cudaEventCreateWithFlags(cudaEvent_t *handle, unsigned int flags) {
    Entry entry("cudaEventCreateWithFlags");
    if (entry.ends_without_context()) return entry.refusal();
    constexpr unsigned int KNOWN = cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess;
    const bool shares_time = (flags & cudaEventInterprocess) != 0 && (flags & cudaEventDisableTiming) == 0;
    if (handle == nullptr || (flags & ~KNOWN) != 0 || shares_time) return entry.give(cudaErrorInvalidValue);
    std::shared_ptr<Event> event;
    const Outcome made = Event::create(entry.context(), flags, &event);
    if (!made.ok()) return entry.give(made);
    *handle = static_cast<cudaEvent_t>(Machine::here().events.add(std::move(event)));
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaEventDestroy(cudaEvent_t handle) {
    Entry entry("cudaEventDestroy");
    if (entry.ends_without_context()) return entry.refusal();
    if (event_of(entry, handle) == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    Machine::here().events.remove(handle);
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaEventRecord(cudaEvent_t event_handle, cudaStream_t handle) {
    Entry entry("cudaEventRecord");
    if (entry.ends_without_context()) return entry.refusal();
    const auto event = event_of(entry, event_handle);
    const auto stream = Cuda::here().stream(entry.function(), handle, entry.context());
    if (stream == nullptr || event == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    if (event->context()->device() != stream->context()->device()) {
        return entry.violate("event_of_other_device", "event and stream are of different devices",
                             cudaErrorInvalidResourceHandle);
    }
    Cuda::here().order_with_null_stream(stream);
    event->record(entry.function(), *stream);
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaEventQuery(cudaEvent_t handle) {
    Entry entry("cudaEventQuery");
    if (entry.ends_without_context()) return entry.refusal();
    const auto event = event_of(entry, handle);
    if (event == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    const auto capture = event->captured();
    return capture == nullptr ? cudaSuccess : code_of_state(entry, *event, capture->query());
}

EMULATED_API cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
    Entry entry("cudaEventSynchronize");
    if (entry.ends_without_context()) return entry.refusal();
    const auto event = event_of(entry, handle);
    if (event == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    const auto capture = event->captured();
    return capture == nullptr ? cudaSuccess : code_of_state(entry, *event, capture->wait());
}

EMULATED_API cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start_handle,
                                              cudaEvent_t end_handle) {
    Entry entry("cudaEventElapsedTime");
    if (entry.ends_without_context()) return entry.refusal();
    if (milliseconds == nullptr) return entry.give(cudaErrorInvalidValue);
    const auto start = event_of(entry, start_handle);
    const auto end = event_of(entry, end_handle);
    if (start == nullptr || end == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    const bool takes_time = ((start->flags() | end->flags()) & cudaEventDisableTiming) == 0;
    const auto first = start->captured();
    const auto last = end->captured();
    if (!takes_time || first == nullptr || last == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    if (first->query() != Capture::State::complete || last->query() != Capture::State::complete) {
        return entry.give(cudaErrorNotReady);
    }
    *milliseconds = std::chrono::duration<float, std::milli>(last->time() - first->time()).count();
    return cudaSuccess;
}

EMULATED_API cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void *argument) {
    Entry entry("cudaLaunchHostFunc");
    if (entry.ends_without_context()) return entry.refusal();
    if (function == nullptr) return entry.give(cudaErrorInvalidValue);
    const auto stream = Cuda::here().stream(entry.function(), handle, entry.context());
    if (stream == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    Cuda::here().order_with_null_stream(stream);
    return entry.give(stream->call_host(entry.call(), function, argument));
}

} // extern "C"
