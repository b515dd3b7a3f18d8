// Events.
#include <chrono>

#include "ascend/state/library.h"

#include "core/event.h"
#include "core/machine.h"

using namespace emulated;

namespace {

constexpr std::uint32_t CAPTURE_STREAM_PROGRESS = 0x2;
constexpr std::uint32_t DEVICE_USE_ONLY = 0x10;
constexpr std::uint32_t EXTERNAL = 0x20;
constexpr std::uint32_t KNOWN_FLAGS =
    ACL_EVENT_SYNC | ACL_EVENT_TIME_LINE | CAPTURE_STREAM_PROGRESS | DEVICE_USE_ONLY | EXTERNAL;

Outcome event_of(AscendCall &call, aclrtEvent handle, std::shared_ptr<Event> *event) {
    HandleState state = HandleState::live;
    *event = Machine::here().events.find(handle, &state);
    if (*event != nullptr) return Outcome::success();
    const std::string text = std::string("the event ") + text_of(state);
    call.report("use_of_destroyed_event", text);
    return Outcome::failed(Fault::invalid_handle, text);
}

// Both, and that they may meet.
Outcome event_and_stream(AscendCall &call, aclrtEvent event_handle, aclrtStream stream_handle,
                         std::shared_ptr<Event> *event, std::shared_ptr<StreamNote> *stream) {
    const Outcome found = event_of(call, event_handle, event);
    if (!found.ok()) return found;
    const Outcome has_stream = Library::here().stream_of(call.function(), stream_handle, stream);
    if (!has_stream.ok()) return has_stream;
    if ((*event)->context()->device() != (*stream)->stream->context()->device()) {
        call.report("event_of_other_device", "event and stream are of two devices");
        return Outcome::failed(Fault::wrong_context, "event and stream are of two devices");
    }
    return Outcome::success();
}

aclError synchronize(AscendCall &call, aclrtEvent handle, std::int32_t timeout) {
    if (call.ends()) return call.end();
    if (timeout < -1) return call.end(Fault::invalid_argument, "allowed are -1, for no limit, and more");
    std::shared_ptr<Event> event;
    const Outcome found = event_of(call, handle, &event);
    if (!found.ok()) return call.end(found);
    const auto capture = event->captured();
    if (capture == nullptr) return call.end();
    std::optional<std::chrono::steady_clock::time_point> deadline;
    if (timeout >= 0) deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout);
    switch (capture->wait(deadline)) {
    case Capture::State::complete: return call.end();
    case Capture::State::dropped: return call.end(Fault::aborted, "the stream was aborted before its record");
    case Capture::State::pending: break;
    }
    return call.end_with(ACL_ERROR_RT_EVENT_SYNC_TIMEOUT, "the event is not complete");
}

aclError wait(AscendCall &call, aclrtStream stream_handle, aclrtEvent event_handle) {
    if (call.ends()) return call.end();
    std::shared_ptr<Event> event;
    std::shared_ptr<StreamNote> stream;
    const Outcome found = event_and_stream(call, event_handle, stream_handle, &event, &stream);
    if (!found.ok()) return call.end(found);
    if ((event->flags() & ACL_EVENT_SYNC) == 0) {
        call.report("wait_for_event_without_sync", "streams wait for events that were made with ACL_EVENT_SYNC");
        return call.end(Fault::invalid_argument, "the event was made without ACL_EVENT_SYNC");
    }
    const auto capture = event->captured();
    if (capture == nullptr) return call.end();
    stream->has_had_tasks = true;
    return call.end(stream->stream->wait_for(call, capture));
}

} // namespace

extern "C" {

EMULATED_API aclError aclrtCreateEventExWithFlag(aclrtEvent *event, uint32_t flags) {
    AscendCall call("aclrtCreateEventExWithFlag", Needs::context);
    if (call.ends()) return call.end();
    if (event == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    if (flags == 0 || (flags & ~KNOWN_FLAGS) != 0) {
        return call.end(Fault::invalid_argument, "no flag, or one that is not known");
    }
    std::shared_ptr<Event> made;
    const Outcome created = Event::create(call.context(), flags, &made);
    if (created.ok()) *event = Machine::here().events.add(std::move(made));
    return call.end(created);
}

// Legal while what it recorded, or waits for it, are still to come.
EMULATED_API aclError aclrtDestroyEvent(aclrtEvent handle) {
    AscendCall call("aclrtDestroyEvent", Needs::context);
    if (call.ends()) return call.end();
    std::shared_ptr<Event> event;
    const Outcome found = event_of(call, handle, &event);
    if (found.ok()) Machine::here().events.remove(handle);
    return call.end(found);
}

EMULATED_API aclError aclrtRecordEvent(aclrtEvent event_handle, aclrtStream stream_handle) {
    AscendCall call("aclrtRecordEvent", Needs::context);
    if (call.ends()) return call.end();
    std::shared_ptr<Event> event;
    std::shared_ptr<StreamNote> stream;
    const Outcome found = event_and_stream(call, event_handle, stream_handle, &event, &stream);
    if (!found.ok()) return call.end(found);
    stream->has_had_tasks = true;
    event->record(call.function(), *stream->stream);
    if (call.note()->stops) {
        if (const auto failure = stream->stream->failure()) return call.end(*failure);
    }
    return call.end();
}

EMULATED_API aclError aclrtStreamWaitEvent(aclrtStream stream, aclrtEvent event) {
    AscendCall call("aclrtStreamWaitEvent", Needs::context);
    return wait(call, stream, event);
}

// The limit is the device's, and nothing here takes so long.
EMULATED_API aclError aclrtStreamWaitEventWithTimeout(aclrtStream stream, aclrtEvent event, int32_t timeout) {
    AscendCall call("aclrtStreamWaitEventWithTimeout", Needs::context);
    if (!call.ends() && timeout < -1) {
        return call.end(Fault::invalid_argument, "allowed are -1, for no limit, and more");
    }
    return wait(call, stream, event);
}

EMULATED_API aclError aclrtQueryEventStatus(aclrtEvent handle, aclrtEventRecordedStatus *status) {
    AscendCall call("aclrtQueryEventStatus", Needs::context);
    if (call.ends()) return call.end();
    if (status == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    std::shared_ptr<Event> event;
    const Outcome found = event_of(call, handle, &event);
    if (!found.ok()) return call.end(found);
    const auto capture = event->captured();
    const bool is_over = capture == nullptr || capture->query() == Capture::State::complete;
    *status = is_over ? ACL_EVENT_RECORDED_STATUS_COMPLETE : ACL_EVENT_RECORDED_STATUS_NOT_READY;
    return call.end();
}

EMULATED_API aclError aclrtSynchronizeEvent(aclrtEvent event) {
    AscendCall call("aclrtSynchronizeEvent", Needs::context);
    return synchronize(call, event, -1);
}

EMULATED_API aclError aclrtSynchronizeEventWithTimeout(aclrtEvent event, int32_t timeout) {
    AscendCall call("aclrtSynchronizeEventWithTimeout", Needs::context);
    return synchronize(call, event, timeout);
}

EMULATED_API aclError aclrtEventElapsedTime(float *milliseconds, aclrtEvent start_handle, aclrtEvent end_handle) {
    AscendCall call("aclrtEventElapsedTime", Needs::context);
    if (call.ends()) return call.end();
    if (milliseconds == nullptr) return call.end_with(ACL_ERROR_INVALID_PARAM, "the answer has no place");
    std::shared_ptr<Event> start;
    std::shared_ptr<Event> end;
    const Outcome has_start = event_of(call, start_handle, &start);
    if (!has_start.ok()) return call.end(has_start);
    const Outcome has_end = event_of(call, end_handle, &end);
    if (!has_end.ok()) return call.end(has_end);
    if ((start->flags() & end->flags() & ACL_EVENT_TIME_LINE) == 0) {
        call.report("time_of_event_without_time_line", "events take the time if made with ACL_EVENT_TIME_LINE");
        return call.end(Fault::invalid_argument, "an event was made without ACL_EVENT_TIME_LINE");
    }
    const auto first = start->captured();
    const auto last = end->captured();
    const bool are_over = first != nullptr && last != nullptr && first->query() == Capture::State::complete &&
                          last->query() == Capture::State::complete;
    if (!are_over) return call.end(Fault::invalid_argument, "an event is not complete");
    *milliseconds = std::chrono::duration<float, std::milli>(last->time() - first->time()).count();
    return call.end();
}

} // extern "C"
