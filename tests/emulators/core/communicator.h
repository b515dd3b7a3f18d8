// One rank's end of a communicator.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "context.h"
#include "reduction.h"
#include "socket.h"
#include "stream.h"

namespace emulated {

class LinkSet;

// Names a communicator: the process that made the name, at whose server the ranks meet.
struct EMULATED_API CommunicatorName {
    ProcessName process;
    std::uint32_t number = 0;

    // A new one; starts this process's server.
    static CommunicatorName make();
    // 24 bytes, to lie at the start of the vendor's id.
    std::array<std::uint8_t, 24> bytes() const;
    // False if it is none.
    static bool read(const std::uint8_t *bytes, CommunicatorName *name);
};

// How the vendor's library behaves where vendors differ.
struct CommunicatorRules {
    // Failed work (a lost peer, a mismatch) stays on its stream until the communicator is aborted, as
    // with NCCL; else the stream's task fails at once.
    bool failed_work_stays = false;
    // Work of an aborted communicator ends as if it had succeeded, as with NCCL; else its task fails
    // with `aborted`.
    bool aborted_work_succeeds = false;
    // How long creation may take and how long one operation may run; none is for ever.
    std::optional<std::chrono::milliseconds> creation_limit;
    std::optional<std::chrono::milliseconds> operation_limit;
};

struct CommunicatorRequest {
    CommunicatorName name;
    int rank = 0;
    int ranks = 1;
    std::shared_ptr<Context> context;
    // What all ranks have to give alike, as text: else `mismatch` on all of them.
    std::string settings;
    // Counted against the device's memory while it lives.
    std::uint64_t reserved_bytes = 0;
    CommunicatorRules rules;
};

enum class Operation : std::uint32_t { points, all_gather, broadcast, all_reduce, barrier };

EMULATED_API const char *text_of(Operation operation);

// One buffer of a set of sends and receives. To one peer they are matched in their order.
struct Part {
    int peer = 0;
    bool sends = false;
    Span span;
    // Both ends have to agree on these two and on the bytes.
    std::uint32_t element = 0;
    std::uint32_t tag = 0;
};

class EMULATED_API Communicator : public std::enable_shared_from_this<Communicator> {
public:
    // `creating` until all ranks have met. `failed` keeps its failure. `closed` after `finish`.
    enum class State { creating, ready, failed, closed, aborted };

    // Begins creation, which goes on on a thread. Arguments that make no sense fail at once.
    static Outcome begin(CommunicatorRequest request, std::shared_ptr<Communicator> *communicator);
    ~Communicator();

    int rank() const { return request_.rank; }
    int ranks() const { return request_.ranks; }
    const std::shared_ptr<Context> &context() const { return request_.context; }
    const CommunicatorName &name() const { return request_.name; }

    State state();
    // Why it failed, or what it noticed by itself since: a lost peer, a mismatch.
    std::optional<Outcome> failure();
    // Waits for the end of creation: success, its failure, `aborted`, or `timed_out`.
    Outcome wait_ready(std::optional<std::chrono::steady_clock::time_point> deadline = {});

    // Queues a set of sends and receives; all progress together. Spans of a communicator's buffers are
    // device memory of its device, or pinned: the facade's business. Its own rank is allowed on both
    // sides, evenly: else `invalid_argument`, and violation `self_exchange_unmatched`.
    Outcome exchange(const Call &call, Stream &stream, std::vector<Part> parts);
    // `all` is ranks times as long as `own`, which may be its part of it.
    Outcome all_gather(const Call &call, Stream &stream, Span own, Span all, std::uint32_t element);
    // Copies the root's `source` into `target` of all; they may be one.
    Outcome broadcast(const Call &call, Stream &stream, Span source, Span target, int root,
                      std::uint32_t element);
    Outcome all_reduce(const Call &call, Stream &stream, Span source, Span target, Element element,
                       Reduction reduction);
    Outcome barrier(const Call &call, Stream &stream);

    // For libraries that set up links at first use inside the call: waits, on the calling thread,
    // until each of these peers waits for this rank likewise. Once per peer; later calls return at once.
    Outcome meet(const std::set<int> &peers,
                 std::optional<std::chrono::steady_clock::time_point> deadline = {});

    // Whether work of it is queued or runs.
    bool is_busy();
    // Waits until no work of it is queued; false after the deadline.
    bool wait_idle(std::optional<std::chrono::steady_clock::time_point> deadline = {});
    // Ends it in good order: peers that go on see that it left, not that it was lost.
    void finish();
    // Ends it at once: creation, calls and work in it end, and peers see it lost. From any thread.
    void abort();

private:
    struct Plan;

    explicit Communicator(CommunicatorRequest request);
    void create();
    // Meets the other ranks, and links with them.
    Outcome meet_all();
    Outcome ask_to_join(std::vector<ProcessName> *processes);
    Outcome link(const std::vector<ProcessName> &processes);
    bool is_given_up();
    Outcome queue(const Call &call, Stream &stream, std::shared_ptr<Plan> plan);
    Outcome run(Plan &plan, Stream &stream);
    Outcome aborted_work() const;
    bool wait_turn(std::uint64_t turn, const std::function<bool()> &given_up);
    void leave_turn(std::uint64_t turn);
    void settle(State state, std::optional<Outcome> failure);
    void note_failure(const Outcome &outcome);
    void release();

    const CommunicatorRequest request_;
    const std::shared_ptr<LinkSet> links_;
    std::mutex mutex_;
    std::condition_variable changed_;
    State state_ = State::creating;
    std::optional<Outcome> failure_;
    std::optional<std::chrono::steady_clock::time_point> creation_deadline_;
    // Operations run one after another, in the order in which they were queued.
    std::uint64_t queued_ = 0;
    std::uint64_t over_ = 0;
    std::set<std::uint64_t> over_early_;
    bool is_reserved_ = false;
    bool has_left_ = false;
};

} // namespace emulated
