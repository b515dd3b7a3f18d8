// Creation and end of a communicator; its operations are in operations.cpp.
#include "communicator.h"

#include <atomic>
#include <cstring>
#include <poll.h>
#include <thread>

#include "link_set.h"
#include "orders.h"
#include "rooms.h"
#include "server.h"
#include "violations.h"

namespace emulated {

namespace {

constexpr char MAGIC[8] = {'e', 'm', 'u', 'l', 'c', 'o', 'm', '1'};
constexpr int LOOK = 10;
// How often it is asked whether the processes of ranks still are there.
constexpr std::chrono::milliseconds LIFE_LOOK{200};
std::atomic<std::uint32_t> names{0};

using Time = std::chrono::steady_clock::time_point;

bool is_past(const std::optional<Time> &deadline) {
    return deadline && std::chrono::steady_clock::now() >= *deadline;
}

} // namespace

CommunicatorName CommunicatorName::make() {
    Server::start();
    CommunicatorName name;
    name.process = ProcessName::own();
    name.number = ++names;
    return name;
}

std::array<std::uint8_t, 24> CommunicatorName::bytes() const {
    std::array<std::uint8_t, 24> all{};
    std::memcpy(all.data(), MAGIC, 8);
    std::memcpy(all.data() + 8, &process.pid, 4);
    std::memcpy(all.data() + 12, &number, 4);
    std::memcpy(all.data() + 16, &process.nonce, 8);
    return all;
}

bool CommunicatorName::read(const std::uint8_t *bytes, CommunicatorName *name) {
    if (std::memcmp(bytes, MAGIC, 8) != 0) return false;
    std::memcpy(&name->process.pid, bytes + 8, 4);
    std::memcpy(&name->number, bytes + 12, 4);
    std::memcpy(&name->process.nonce, bytes + 16, 8);
    return true;
}

const char *text_of(Operation operation) {
    switch (operation) {
    case Operation::points: return "send/receive";
    case Operation::all_gather: return "all-gather";
    case Operation::broadcast: return "broadcast";
    case Operation::all_reduce: return "all-reduce";
    case Operation::barrier: return "barrier";
    }
    return "unknown operation";
}

Outcome Communicator::begin(CommunicatorRequest request, std::shared_ptr<Communicator> *communicator) {
    if (request.ranks < 1 || request.rank < 0 || request.rank >= request.ranks) {
        return Outcome::failed(Fault::invalid_argument, "rank " + std::to_string(request.rank) + " of " +
                                                            std::to_string(request.ranks));
    }
    if (request.context == nullptr) return Outcome::failed(Fault::no_context, "the thread has no context");
    if (Orders::all().refuses("communicators")) {
        return Outcome::failed(Fault::unsupported, "communicators are refused by an order");
    }
    if (!Server::start()) return Outcome::failed(Fault::system, "no socket to meet at");
    const Outcome reserved = request.context->device()->reserve(request.reserved_bytes);
    if (!reserved.ok()) return reserved;
    std::shared_ptr<Communicator> made(new Communicator(std::move(request)));
    std::thread([made] { made->create(); }).detach();
    *communicator = std::move(made);
    return Outcome::success();
}

Communicator::Communicator(CommunicatorRequest request)
    : request_(std::move(request)), links_(std::make_shared<LinkSet>(request_.rank, request_.ranks)) {
    is_reserved_ = true;
    if (request_.rules.creation_limit) {
        creation_deadline_ = std::chrono::steady_clock::now() + *request_.rules.creation_limit;
    }
}

Communicator::~Communicator() {
    // One that leaves in good order has still to say so, which its links do by themselves.
    if (!has_left_) links_->close();
    release();
}

void Communicator::release() {
    {
        std::lock_guard lock(mutex_);
        if (!is_reserved_) return;
        is_reserved_ = false;
    }
    request_.context->device()->release(request_.reserved_bytes);
}

bool Communicator::is_given_up() {
    std::lock_guard lock(mutex_);
    return state_ == State::aborted || state_ == State::closed;
}

void Communicator::create() {
    const auto &name = request_.name;
    LinkSets::all().add(name.process, name.number, request_.rank, links_);
    const Outcome outcome = meet_all();
    LinkSets::all().remove(name.process, name.number, request_.rank);
    if (!outcome.ok()) {
        if (outcome.fault == Fault::duplicate_device) {
            Violations::all().report("two_ranks_on_one_device", outcome.text);
        }
        if (outcome.fault == Fault::mismatch) Violations::all().report("settings_differ", outcome.text);
        links_->close();
        settle(State::failed, outcome);
        return;
    }
    links_->start();
    settle(State::ready, {});
}

Outcome Communicator::meet_all() {
    std::vector<ProcessName> processes;
    const Outcome joined = ask_to_join(&processes);
    return joined.ok() ? link(processes) : joined;
}

Outcome Communicator::ask_to_join(std::vector<ProcessName> *processes) {
    const Outcome gone = Outcome::failed(Fault::peer_lost, "the process that made the id is gone");
    Socket socket = Socket::to(request_.name.process);
    Greeting greeting;
    greeting.kind = Greeting::join;
    greeting.number = request_.name.number;
    JoinRequest request;
    request.rank = request_.rank;
    request.ranks = request_.ranks;
    request.device = request_.context->device()->ordinal();
    request.settings = static_cast<std::uint32_t>(request_.settings.size());
    request.process = ProcessName::own();
    if (!socket.is_open() || !socket.send_all(&greeting, sizeof greeting) ||
        !socket.send_all(&request, sizeof request) ||
        !socket.send_all(request_.settings.data(), request_.settings.size())) {
        return gone;
    }
    pollfd polled{socket.descriptor(), POLLIN, 0};
    while (poll(&polled, 1, LOOK) <= 0) {
        if (is_given_up()) return Outcome::failed(Fault::aborted, "creation was aborted");
        if (is_past(creation_deadline_)) {
            return Outcome::failed(Fault::timed_out, "not all ranks came in time");
        }
    }
    JoinAnswer answer;
    if (!socket.receive_all(&answer, sizeof answer)) return gone;
    std::string text(answer.text, ' ');
    if (!socket.receive_all(text.data(), text.size())) return gone;
    if (answer.fault != 0) return Outcome::failed(static_cast<Fault>(answer.fault), text);
    processes->resize(static_cast<std::size_t>(request_.ranks));
    if (!socket.receive_all(processes->data(), processes->size() * sizeof(ProcessName))) return gone;
    return Outcome::success();
}

Outcome Communicator::link(const std::vector<ProcessName> &processes) {
    const auto lost = [](int rank) {
        return Outcome::failed(Fault::peer_lost, "rank " + std::to_string(rank) + " was lost");
    };
    for (int peer = 0; peer < request_.rank; ++peer) {
        Socket socket = Socket::to(processes[static_cast<std::size_t>(peer)]);
        Greeting greeting;
        greeting.kind = Greeting::link;
        greeting.number = request_.name.number;
        greeting.process = request_.name.process;
        greeting.from = request_.rank;
        greeting.to = peer;
        if (!socket.is_open() || !socket.send_all(&greeting, sizeof greeting)) return lost(peer);
        links_->add(peer, std::move(socket));
    }
    int dead = -1;
    auto look = std::chrono::steady_clock::now() + LIFE_LOOK;
    const auto given_up = [&] {
        const bool looks = is_past(look);
        if (looks) look = std::chrono::steady_clock::now() + LIFE_LOOK;
        for (int peer = request_.rank + 1; peer < request_.ranks; ++peer) {
            // A process that is gone has no server any more.
            if (looks && !Socket::to(processes[static_cast<std::size_t>(peer)]).is_open()) dead = peer;
        }
        return dead >= 0 || is_given_up();
    };
    if (links_->wait_complete(given_up, creation_deadline_)) return Outcome::success();
    if (dead >= 0) return lost(dead);
    if (is_given_up()) return Outcome::failed(Fault::aborted, "creation was aborted");
    return Outcome::failed(Fault::timed_out, "not all ranks came in time");
}

void Communicator::settle(State state, std::optional<Outcome> failure) {
    std::lock_guard lock(mutex_);
    if (state_ == State::creating) {
        state_ = state;
        failure_ = std::move(failure);
    }
    changed_.notify_all();
}

Communicator::State Communicator::state() {
    std::lock_guard lock(mutex_);
    return state_;
}

void Communicator::note_failure(const Outcome &outcome) {
    std::lock_guard lock(mutex_);
    if (!failure_) failure_ = outcome;
    changed_.notify_all();
}

std::optional<Outcome> Communicator::failure() {
    {
        std::lock_guard lock(mutex_);
        if (failure_ || state_ != State::ready) return failure_;
    }
    if (const auto lost = links_->lost()) note_failure(Outcome::failed(Fault::peer_lost, *lost));
    std::lock_guard lock(mutex_);
    return failure_;
}

Outcome Communicator::wait_ready(std::optional<Time> deadline) {
    std::unique_lock lock(mutex_);
    const auto settled = [this] { return state_ != State::creating; };
    if (deadline) {
        if (!changed_.wait_until(lock, *deadline, settled)) {
            return Outcome::failed(Fault::timed_out, "not all ranks have come yet");
        }
    } else {
        changed_.wait(lock, settled);
    }
    if (state_ == State::ready) return Outcome::success();
    if (failure_) return *failure_;
    return Outcome::failed(Fault::aborted, "the communicator was given up");
}

Outcome Communicator::meet(const std::set<int> &peers, std::optional<Time> deadline) {
    const Outcome outcome = links_->meet(peers, [this] { return is_given_up(); }, deadline);
    if (outcome.fault == Fault::peer_lost) note_failure(outcome);
    return outcome;
}

bool Communicator::is_busy() {
    std::lock_guard lock(mutex_);
    return over_ < queued_;
}

bool Communicator::wait_idle(std::optional<Time> deadline) {
    std::unique_lock lock(mutex_);
    const auto idle = [this] { return over_ >= queued_; };
    if (deadline) return changed_.wait_until(lock, *deadline, idle);
    changed_.wait(lock, idle);
    return true;
}

void Communicator::finish() {
    {
        std::lock_guard lock(mutex_);
        if (state_ == State::closed || state_ == State::aborted) return;
        const bool is_linked = state_ == State::ready;
        state_ = State::closed;
        changed_.notify_all();
        if (is_linked) links_->leave();
        has_left_ = is_linked;
    }
    release();
}

void Communicator::abort() {
    {
        std::lock_guard lock(mutex_);
        // One that left in good order may still be saying so to its peers.
        if (state_ == State::closed) return;
        state_ = State::aborted;
        changed_.notify_all();
    }
    links_->close();
    release();
}

} // namespace emulated
