#include "ascend/state/library.h"

#include "core/machine.h"
#include "core/thread.h"
#include "core/violations.h"

namespace emulated {

Library &Library::here() {
    static auto *const library = new Library;
    return *library;
}

Outcome Library::initialise() {
    std::lock_guard lock(mutex_);
    if (initialised_) return {Fault::ordered, ACL_ERROR_REPEAT_INITIALIZE, "initialised before"};
    initialised_ = true;
    return Outcome::success();
}

Outcome Library::finalise() {
    std::lock_guard lock(mutex_);
    if (!initialised_) return {Fault::ordered, ACL_ERROR_REPEAT_FINALIZE, "not initialised, or finalised before"};
    initialised_ = false;
    return Outcome::success();
}

bool Library::is_initialised() {
    std::lock_guard lock(mutex_);
    return initialised_;
}

std::shared_ptr<ContextNote> Library::create_context(int ordinal) {
    auto note = std::make_shared<ContextNote>();
    // A failed task leaves the rest of the context alone.
    note->context = std::make_shared<Context>(Machine::here().device(ordinal), false);
    note->handle = Machine::here().contexts.add(note->context);
    std::lock_guard lock(mutex_);
    contexts_[note->context->id()] = note;
    return note;
}

std::shared_ptr<ContextNote> Library::set_device(int ordinal) {
    {
        std::lock_guard lock(mutex_);
        const auto found = defaults_.find(ordinal);
        if (found != defaults_.end()) {
            *found->second->references += 1;
            return found->second;
        }
    }
    auto note = create_context(ordinal);
    std::lock_guard lock(mutex_);
    const auto [found, is_new] = defaults_.emplace(ordinal, note);
    if (is_new) {
        note->references = 1;
    } else {
        // Another thread was faster.
        Machine::here().contexts.remove(note->handle);
        contexts_.erase(note->context->id());
        *found->second->references += 1;
    }
    return found->second;
}

Outcome Library::reset_device(const char *function, int ordinal) {
    std::shared_ptr<ContextNote> ended;
    {
        std::lock_guard lock(mutex_);
        const auto found = defaults_.find(ordinal);
        if (found == defaults_.end()) {
            Violations::all().report("reset_without_set", std::string(function) + ": device " +
                                                              std::to_string(ordinal) + " is not set");
            return Outcome::failed(Fault::invalid_device, "the device was not set, or was reset before");
        }
        *found->second->references -= 1;
        if (*found->second->references > 0) return Outcome::success();
        ended = found->second;
        defaults_.erase(found);
    }
    end_context(function, ended);
    return Outcome::success();
}

Outcome Library::destroy_context(const char *function, void *handle) {
    auto note = note_of(handle);
    if (note == nullptr) {
        Violations::all().report("use_of_destroyed_context",
                                 std::string(function) + ": the context " +
                                     text_of(Machine::here().contexts.state(handle)));
        return Outcome::failed(Fault::invalid_handle, "no context of this library");
    }
    if (note->references) {
        Violations::all().report("default_context_destroyed",
                                 std::string(function) + ": default contexts end with aclrtResetDevice");
        return Outcome::failed(Fault::invalid_argument, "a default context");
    }
    if (!note->streams.empty()) {
        Violations::all().report("context_destroyed_with_streams", std::string(function) + ": " +
                                                                       std::to_string(note->streams.size()) +
                                                                       " streams are left in it");
    }
    end_context(function, note);
    return Outcome::success();
}

void Library::end_context(const char *function, const std::shared_ptr<ContextNote> &note) {
    std::vector<std::shared_ptr<StreamNote>> streams;
    {
        std::lock_guard lock(mutex_);
        for (const auto &entry : note->streams) streams.push_back(entry.second);
        if (note->default_stream != nullptr) streams.push_back(note->default_stream);
        note->streams.clear();
        note->default_stream.reset();
        contexts_.erase(note->context->id());
    }
    for (const auto &stream : streams) {
        if (!stream->stream->is_idle()) {
            Violations::all().report("context_ended_with_work",
                                     std::string(function) + ": a stream of the context still has work");
        }
        stream->stream->abort();
        stream->stream->close();
        if (stream->handle != nullptr) Machine::here().streams.remove(stream->handle);
    }
    Machine::here().contexts.remove(note->handle);
    auto &thread = Thread::here();
    if (thread.context == note->context) thread.context.reset();
}

std::shared_ptr<ContextNote> Library::note_of(const void *handle) {
    const auto context = Machine::here().contexts.find(handle);
    return context == nullptr ? nullptr : note_of(*context);
}

std::shared_ptr<ContextNote> Library::note_of(const Context &context) {
    std::lock_guard lock(mutex_);
    const auto found = contexts_.find(context.id());
    return found == contexts_.end() ? nullptr : found->second;
}

std::vector<std::shared_ptr<ContextNote>> Library::contexts_of(int ordinal) {
    std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<ContextNote>> found;
    for (const auto &entry : contexts_) {
        if (entry.second->context->device()->ordinal() == ordinal) found.push_back(entry.second);
    }
    return found;
}

Outcome Library::create_stream(ContextNote &context, std::uint32_t flags, bool is_default,
                               std::shared_ptr<StreamNote> *stream) {
    auto note = std::make_shared<StreamNote>();
    const Outcome created = Stream::create(context.context, 0, flags, &note->stream);
    if (!created.ok()) return created;
    if (!is_default) note->handle = Machine::here().streams.add(note->stream);
    std::lock_guard lock(mutex_);
    if (context.stops) note->stream->set_on_failure(Stream::OnFailure::stop);
    if (!is_default) {
        context.streams[note->stream->id()] = note;
    } else if (context.default_stream == nullptr) {
        context.default_stream = note;
    } else {
        // Another thread was faster.
        note->stream->close();
        note = context.default_stream;
    }
    *stream = note;
    return created;
}

void Library::forget_stream(ContextNote &context, const StreamNote &stream) {
    std::lock_guard lock(mutex_);
    context.streams.erase(stream.stream->id());
}

Outcome Library::stream_of(const char *function, aclrtStream handle, std::shared_ptr<StreamNote> *stream) {
    const auto &current = Thread::here().context;
    const auto context = current == nullptr ? nullptr : note_of(*current);
    if (context == nullptr) return Outcome::failed(Fault::no_context, "the thread has no context");
    if (handle == nullptr) {
        {
            std::lock_guard lock(mutex_);
            *stream = context->default_stream;
        }
        return *stream != nullptr ? Outcome::success() : create_stream(*context, 0, true, stream);
    }
    HandleState state = HandleState::live;
    const auto found = Machine::here().streams.find(handle, &state);
    if (found == nullptr) {
        Violations::all().report("use_of_destroyed_stream",
                                 std::string(function) + ": the stream " + text_of(state));
        return Outcome::failed(Fault::invalid_handle, std::string("the stream ") + text_of(state));
    }
    if (found->context() != current) {
        return Outcome::failed(Fault::wrong_context, "the stream is of another context than the thread");
    }
    std::lock_guard lock(mutex_);
    const auto note = context->streams.find(found->id());
    if (note == context->streams.end()) return Outcome::failed(Fault::invalid_handle, "the stream is being destroyed");
    *stream = note->second;
    return Outcome::success();
}

void Library::stop_at_failures(ContextNote &context) {
    std::lock_guard lock(mutex_);
    context.stops = true;
    for (const auto &entry : context.streams) entry.second->stream->set_on_failure(Stream::OnFailure::stop);
    if (context.default_stream != nullptr) {
        context.default_stream->stream->set_on_failure(Stream::OnFailure::stop);
    }
}

aclError acl_code_of(const Outcome &outcome) {
    switch (outcome.fault) {
    case Fault::none: return ACL_SUCCESS;
    case Fault::invalid_argument:
    case Fault::invalid_address:
    case Fault::already_registered:
    case Fault::not_registered:
    case Fault::duplicate_device: return ACL_ERROR_RT_PARAM_INVALID;
    case Fault::invalid_device: return ACL_ERROR_RT_INVALID_DEVICEID;
    case Fault::no_context: return ACL_ERROR_RT_CONTEXT_NULL;
    case Fault::invalid_handle: return ACL_ERROR_RT_INVALID_HANDLE;
    case Fault::wrong_context: return ACL_ERROR_RT_STREAM_CONTEXT;
    case Fault::misaligned: return ACL_ERROR_RT_ADDR_UNALIGNED;
    case Fault::out_of_memory: return ACL_ERROR_RT_MEMORY_ALLOCATION;
    case Fault::out_of_streams: return ACL_ERROR_RT_NO_STREAM_RESOURCE;
    case Fault::out_of_events: return ACL_ERROR_RT_NO_EVENT_RESOURCE;
    case Fault::not_permitted: return ACL_ERROR_RT_NO_PERMISSION;
    case Fault::unsupported: return ACL_ERROR_RT_FEATURE_NOT_SUPPORT;
    case Fault::peer_access_missing: return ACL_ERROR_RT_DRV_INTERNAL_ERROR;
    case Fault::not_exported: return ACL_ERROR_RT_IPC_ERROR;
    case Fault::mismatch: return ACL_ERROR_RT_AICPU_EXCEPTION;
    case Fault::peer_lost: return ACL_ERROR_RT_SUSPECT_REMOTE_ERROR;
    case Fault::aborted: return ACL_ERROR_RT_STREAM_ABORT;
    // Of a task; calls that wait give codes of their own.
    case Fault::timed_out: return ACL_ERROR_RT_AICPU_TIMEOUT;
    case Fault::in_use: return ACL_ERROR_RT_RESOURCE_ALLOC_FAIL;
    case Fault::lost: return ACL_ERROR_RT_LOST_HEARTBEAT;
    case Fault::system: return ACL_ERROR_RT_INTERNAL_ERROR;
    case Fault::ordered: return static_cast<aclError>(outcome.code);
    }
    return ACL_ERROR_INTERNAL_ERROR;
}

HcclResult hccl_code_of(const Outcome &outcome) {
    switch (outcome.fault) {
    case Fault::none: return HCCL_SUCCESS;
    case Fault::invalid_argument:
    case Fault::invalid_device:
    case Fault::invalid_handle:
    case Fault::wrong_context:
    case Fault::invalid_address:
    case Fault::misaligned:
    case Fault::already_registered:
    case Fault::not_registered:
    case Fault::not_permitted:
    case Fault::duplicate_device:
    case Fault::mismatch: return HCCL_E_PARA;
    case Fault::no_context: return HCCL_E_RUNTIME;
    case Fault::out_of_memory: return HCCL_E_OOM;
    case Fault::out_of_streams:
    case Fault::out_of_events: return HCCL_E_UNAVAIL;
    case Fault::unsupported: return HCCL_E_NOT_SUPPORT;
    case Fault::peer_access_missing: return HCCL_E_DRV;
    case Fault::not_exported: return HCCL_E_NOT_FOUND;
    case Fault::peer_lost: return HCCL_E_TCP_CONNECT;
    case Fault::aborted: return HCCL_E_INTERNAL;
    case Fault::timed_out: return HCCL_E_TIMEOUT;
    case Fault::in_use: return HCCL_E_AGAIN;
    case Fault::lost: return HCCL_E_RUNTIME;
    case Fault::system: return HCCL_E_SYSCALL;
    case Fault::ordered: return static_cast<HcclResult>(outcome.code);
    }
    return HCCL_E_INTERNAL;
}

Recent &Recent::here() {
    static thread_local Recent recent;
    return recent;
}

void Recent::note(const char *function, aclError error, const Outcome &outcome) {
    code = error;
    text = std::string("EE9999: Inner Error!\n        ") + function + ": " +
           (outcome.text.empty() ? "failed" : outcome.text) + " (emulated)\n";
}

AscendCall::AscendCall(const char *function, Needs needs) : Call(function), outcome(refused()) {
    if (ends() || needs == Needs::nothing) return;
    if (!Library::here().is_initialised()) {
        report("used_before_init", "aclInit comes first, and nothing after aclFinalize");
        outcome = {Fault::ordered, ACL_ERROR_UNINITIALIZE, "the library is not initialised"};
        return;
    }
    context_ = Thread::here().context;
    if (context_ != nullptr) note_ = Library::here().note_of(*context_);
    if (needs != Needs::context) return;
    if (context_ == nullptr) {
        outcome = Outcome::failed(Fault::no_context, "the thread has no context");
    } else if (note_ == nullptr) {
        report("use_of_destroyed_context", "the thread's context was destroyed");
        outcome = Outcome::failed(Fault::no_context, "the thread's context was destroyed");
    }
}

void AscendCall::report(const char *rule, const std::string &sentence) const {
    Violations::all().report(rule, std::string(function()) + ": " + sentence);
}

aclError AscendCall::end(const Outcome &outcome) {
    const aclError code = acl_code_of(outcome);
    if (code != ACL_SUCCESS) Recent::here().note(function(), code, outcome);
    return code;
}

aclError AscendCall::end_with(aclError code, std::string text) {
    Recent::here().note(function(), code, Outcome::failed(Fault::ordered, std::move(text)));
    return code;
}

HcclResult AscendCall::end_hccl(const Outcome &outcome) {
    const HcclResult code = hccl_code_of(outcome);
    // HCCL's words are found where the runtime's are.
    if (code != HCCL_SUCCESS) Recent::here().note(function(), acl_code_of(outcome), outcome);
    return code;
}

} // namespace emulated
