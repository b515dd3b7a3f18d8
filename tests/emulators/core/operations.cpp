// What a communicator does on streams.
#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "communicator.h"
#include "link_set.h"
#include "violations.h"

namespace emulated {

namespace {

constexpr std::chrono::milliseconds LOOK{2};

} // namespace

// One operation, from its call to its end.
struct Communicator::Plan {
    std::uint64_t turn = 0;
    std::vector<Transfer> transfers;
    // Done when all bytes have moved.
    std::vector<std::pair<Span, Span>> own_copies;
    std::function<void()> after;
    std::vector<Use> uses;
    // Room for what is reduced.
    std::vector<std::vector<std::byte>> arrived;

    void move(int peer, bool sends, Operation operation, std::uint32_t element, std::uint32_t tag, std::byte *data,
              std::size_t bytes) {
        transfers.push_back({peer, sends, static_cast<std::uint32_t>(operation), element, tag, data, bytes, false});
    }
};

Outcome Communicator::queue(const Call &call, Stream &stream, std::shared_ptr<Plan> plan) {
    {
        std::lock_guard lock(mutex_);
        if (state_ != State::ready) {
            const Fault fault = state_ == State::creating ? Fault::in_use : Fault::aborted;
            return failure_ ? *failure_ : Outcome::failed(fault, "the communicator is not ready");
        }
        plan->turn = queued_++;
    }
    auto self = shared_from_this();
    Task task;
    task.uses = plan->uses;
    task.run = [self, plan](Stream &stream) { return self->run(*plan, stream); };
    task.dropped = [self, plan] { self->leave_turn(plan->turn); };
    return stream.enqueue(call, std::move(task));
}

bool Communicator::wait_turn(std::uint64_t turn, const std::function<bool()> &given_up) {
    std::unique_lock lock(mutex_);
    while (over_ < turn) {
        changed_.wait_for(lock, LOOK);
        lock.unlock();
        const bool ends = given_up();
        lock.lock();
        if (ends) return false;
    }
    return true;
}

void Communicator::leave_turn(std::uint64_t turn) {
    std::lock_guard lock(mutex_);
    over_early_.insert(turn);
    while (over_early_.erase(over_) != 0) over_ += 1;
    changed_.notify_all();
}

Outcome Communicator::aborted_work() const {
    if (request_.rules.aborted_work_succeeds) return Outcome::success();
    return Outcome::failed(Fault::aborted, "the communicator was given up");
}

Outcome Communicator::run(Plan &plan, Stream &stream) {
    const auto given_up = [this, &stream] { return stream.is_interrupted() || is_given_up(); };
    Outcome outcome;
    if (!wait_turn(plan.turn, given_up)) {
        outcome = Outcome::failed(Fault::aborted, "given up");
    } else {
        std::optional<std::chrono::steady_clock::time_point> deadline;
        if (const auto limit = request_.rules.operation_limit) {
            deadline = std::chrono::steady_clock::now() + *limit;
        }
        outcome = links_->run(plan.transfers, given_up, deadline);
    }
    if (outcome.ok()) {
        for (const auto &[source, target] : plan.own_copies) {
            if (source.data != target.data) std::memmove(target.data, source.data, source.bytes);
        }
        if (plan.after) plan.after();
    } else if (!is_given_up() && !stream.is_interrupted()) {
        if (outcome.fault == Fault::mismatch) Violations::all().report("operations_differ", outcome.text);
        note_failure(outcome);
        if (request_.rules.failed_work_stays) {
            std::unique_lock lock(mutex_);
            while (state_ != State::aborted && state_ != State::closed) {
                changed_.wait_for(lock, LOOK);
                lock.unlock();
                const bool interrupted = stream.is_interrupted();
                lock.lock();
                if (interrupted) break;
            }
        }
    }
    leave_turn(plan.turn);
    if (outcome.ok()) return outcome;
    if (stream.is_interrupted()) return Outcome::failed(Fault::aborted, "the stream was aborted");
    return is_given_up() ? aborted_work() : outcome;
}

Outcome Communicator::exchange(const Call &call, Stream &stream, std::vector<Part> parts) {
    auto plan = std::make_shared<Plan>();
    std::deque<Part> own_sends, own_receives;
    for (auto &part : parts) {
        if (part.peer < 0 || part.peer >= ranks()) {
            return Outcome::failed(Fault::invalid_argument, "peer " + std::to_string(part.peer) + " of " +
                                                                std::to_string(ranks()));
        }
        plan->uses.push_back({part.span, !part.sends});
        if (part.peer == rank()) {
            (part.sends ? own_sends : own_receives).push_back(part);
        } else {
            plan->move(part.peer, part.sends, Operation::points, part.element, part.tag, part.span.data,
                       part.span.bytes);
        }
    }
    bool is_even = own_sends.size() == own_receives.size();
    for (std::size_t index = 0; is_even && index < own_sends.size(); ++index) {
        const auto &send = own_sends[index];
        const auto &receive = own_receives[index];
        is_even = send.span.bytes == receive.span.bytes && send.element == receive.element && send.tag == receive.tag;
        plan->own_copies.emplace_back(send.span, receive.span);
    }
    if (!is_even) {
        Violations::all().report("self_exchange_unmatched",
                                 std::string(call.function()) + ": what rank " + std::to_string(rank()) +
                                     " sends to itself is not what it receives from itself");
        return Outcome::failed(Fault::invalid_argument, "sends and receives to the own rank do not match");
    }
    Memory::all().report_overlaps(call.function(), plan->uses);
    return queue(call, stream, std::move(plan));
}

Outcome Communicator::all_gather(const Call &call, Stream &stream, Span own, Span all, std::uint32_t element) {
    auto plan = std::make_shared<Plan>();
    const auto part = [&](int rank) {
        Span span = all;
        span.bytes = own.bytes;
        span.address += static_cast<std::size_t>(rank) * own.bytes;
        span.data += static_cast<std::size_t>(rank) * own.bytes;
        return span;
    };
    plan->uses = {{own, false}, {all, true}};
    const Span target = part(rank());
    const bool apart = own.address + own.bytes <= all.address || all.address + all.bytes <= own.address;
    if (!apart && own.address != target.address) Memory::all().report_overlaps(call.function(), plan->uses);
    for (int peer = 0; peer < ranks(); ++peer) {
        if (peer == rank()) continue;
        plan->move(peer, true, Operation::all_gather, element, 0, own.data, own.bytes);
        plan->move(peer, false, Operation::all_gather, element, 0, part(peer).data, own.bytes);
    }
    plan->own_copies.emplace_back(own, target);
    return queue(call, stream, std::move(plan));
}

Outcome Communicator::broadcast(const Call &call, Stream &stream, Span source, Span target, int root,
                                std::uint32_t element) {
    if (root < 0 || root >= ranks()) {
        return Outcome::failed(Fault::invalid_argument, "root " + std::to_string(root) + " of " +
                                                            std::to_string(ranks()));
    }
    auto plan = std::make_shared<Plan>();
    const bool is_root = root == rank();
    const auto tag = static_cast<std::uint32_t>(root);
    if (is_root) plan->uses.push_back({source, false});
    if (!is_root || source.address != target.address) plan->uses.push_back({target, true});
    if (is_root && source.address != target.address) {
        Memory::all().report_overlaps(call.function(), plan->uses);
        plan->own_copies.emplace_back(source, target);
    }
    for (int peer = 0; peer < ranks(); ++peer) {
        if (peer == rank()) continue;
        // Ranks that have nothing for each other still see that they do the same.
        plan->move(peer, true, Operation::broadcast, element, tag, source.data, is_root ? source.bytes : 0);
        plan->move(peer, false, Operation::broadcast, element, tag, target.data, peer == root ? target.bytes : 0);
    }
    return queue(call, stream, std::move(plan));
}

Outcome Communicator::all_reduce(const Call &call, Stream &stream, Span source, Span target, Element element,
                                 Reduction reduction) {
    auto plan = std::make_shared<Plan>();
    plan->uses.push_back({source, false});
    plan->uses.push_back({target, true});
    if (source.address != target.address) Memory::all().report_overlaps(call.function(), plan->uses);
    const auto tag = static_cast<std::uint32_t>(reduction);
    const auto type = static_cast<std::uint32_t>(element);
    plan->arrived.resize(static_cast<std::size_t>(ranks()));
    for (int peer = 0; peer < ranks(); ++peer) {
        if (peer == rank()) continue;
        auto &room = plan->arrived[static_cast<std::size_t>(peer)];
        room.resize(source.bytes);
        plan->move(peer, true, Operation::all_reduce, type, tag, source.data, source.bytes);
        plan->move(peer, false, Operation::all_reduce, type, tag, room.data(), source.bytes);
    }
    Plan *own = plan.get();
    plan->after = [own, source, target, element, reduction, rank = rank(), ranks = ranks()] {
        // By rank, so that all ranks get the same bits.
        const std::size_t count = source.bytes / bytes_of(element);
        auto &first = own->arrived[static_cast<std::size_t>(rank)];
        first.assign(source.data, source.data + source.bytes);
        std::vector<std::byte> result = own->arrived[0];
        for (std::size_t other = 1; other < own->arrived.size(); ++other) {
            reduce(element, reduction, result.data(), own->arrived[other].data(), count);
        }
        if (reduction == Reduction::average) divide(element, result.data(), count, ranks);
        std::memcpy(target.data, result.data(), result.size());
    };
    return queue(call, stream, std::move(plan));
}

Outcome Communicator::barrier(const Call &call, Stream &stream) {
    auto plan = std::make_shared<Plan>();
    for (int peer = 0; peer < ranks(); ++peer) {
        if (peer == rank()) continue;
        plan->move(peer, true, Operation::barrier, 0, 0, nullptr, 0);
        plan->move(peer, false, Operation::barrier, 0, 0, nullptr, 0);
    }
    return queue(call, stream, std::move(plan));
}

} // namespace emulated
