// What the facades of ACL and HCCL share: the state of the process, and how calls begin and end. Compiled
// into the vendor's core library, since the two find each other there.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "eplb_hccl.h"

#include "core/call.h"
#include "core/context.h"
#include "core/outcome.h"
#include "core/stream.h"

namespace emulated {

// A stream as the facade knows it.
struct StreamNote {
    void *handle = nullptr;
    std::shared_ptr<Stream> stream;
    bool mode_is_set = false;
    bool has_had_tasks = false;
    // The thread that runs its callbacks.
    std::optional<std::uint64_t> subscriber;
    bool has_host_functions = false;
    bool has_callbacks = false;
};

// A context as the facade knows it.
struct ContextNote {
    void *handle = nullptr;
    std::shared_ptr<Context> context;
    // How many `aclrtSetDevice` keep it; none for one that was created by itself.
    std::optional<std::uint64_t> references;
    // Any of its streams was told to stop at failures, so all of them do.
    bool stops = false;
    std::shared_ptr<StreamNote> default_stream;
    // By the numbers of the streams.
    std::map<std::uint64_t, std::shared_ptr<StreamNote>> streams;
};

class EMULATED_API Library {
public:
    static Library &here();

    Outcome initialise();
    Outcome finalise();
    bool is_initialised();

    // The device's default context, made if need be; counts.
    std::shared_ptr<ContextNote> set_device(int ordinal);
    Outcome reset_device(const char *function, int ordinal);
    std::shared_ptr<ContextNote> create_context(int ordinal);
    Outcome destroy_context(const char *function, void *handle);
    // Null unless it is alive.
    std::shared_ptr<ContextNote> note_of(const void *handle);
    std::shared_ptr<ContextNote> note_of(const Context &context);
    std::vector<std::shared_ptr<ContextNote>> contexts_of(int ordinal);

    // A default stream has no handle, and there is one at most.
    Outcome create_stream(ContextNote &context, std::uint32_t flags, bool is_default,
                          std::shared_ptr<StreamNote> *stream);
    // Takes the stream out of the books; the caller closes it.
    void forget_stream(ContextNote &context, const StreamNote &stream);
    // The stream of a handle in the thread's context, null for the context's default one.
    Outcome stream_of(const char *function, aclrtStream handle, std::shared_ptr<StreamNote> *stream);
    void stop_at_failures(ContextNote &context);

private:
    void end_context(const char *function, const std::shared_ptr<ContextNote> &note);

    std::mutex mutex_;
    bool initialised_ = false;
    std::map<int, std::shared_ptr<ContextNote>> defaults_;
    std::map<std::uint64_t, std::shared_ptr<ContextNote>> contexts_;
};

// The code of an outcome: the one place where faults are translated.
EMULATED_API aclError acl_code_of(const Outcome &outcome);
EMULATED_API HcclResult hccl_code_of(const Outcome &outcome);

// The last error of the calling thread.
struct EMULATED_API Recent {
    aclError code = ACL_SUCCESS;
    // To be given once.
    std::string text;
    std::string given;

    static Recent &here();
    void note(const char *function, aclError code, const Outcome &outcome);
};

// What has to be there before a call makes sense.
enum class Needs { nothing, library, context };

// A call of either API. If it has to end at once, `outcome` says why.
class EMULATED_API AscendCall : public Call {
public:
    AscendCall(const char *function, Needs needs);

    bool ends() const { return !outcome.ok(); }
    // The thread's context; alive if the call needs one and does not end.
    const std::shared_ptr<Context> &context() const { return context_; }
    const std::shared_ptr<ContextNote> &note() const { return note_; }
    // Reports a broken rule that the library itself leaves undefined.
    void report(const char *rule, const std::string &sentence) const;

    aclError end() { return end(outcome); }
    aclError end(const Outcome &outcome);
    aclError end(Fault fault, std::string text) { return end(Outcome::failed(fault, std::move(text))); }
    // As `end`, with this code for a failure.
    aclError end_with(aclError code, std::string text);
    HcclResult end_hccl(const Outcome &outcome);
    HcclResult end_hccl(Fault fault, std::string text) { return end_hccl(Outcome::failed(fault, std::move(text))); }

    Outcome outcome;

private:
    std::shared_ptr<Context> context_;
    std::shared_ptr<ContextNote> note_;
};

} // namespace emulated
