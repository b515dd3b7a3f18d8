#include "link_set.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <thread>
#include <unistd.h>

#include "communicator.h"
#include "orders.h"

namespace emulated {

namespace {

constexpr std::chrono::milliseconds LOOK{2};
// How often the orders are asked for lost ranks, in milliseconds.
constexpr int IDLE = 20;

std::string describe(const FrameHeader &header) {
    return std::string(text_of(static_cast<Operation>(header.operation))) + " of " + std::to_string(header.bytes) +
           " bytes (element " + std::to_string(header.element) + ", tag " + std::to_string(header.tag) + ")";
}

FrameHeader header_of(FrameHeader::Kind kind, const Transfer &transfer) {
    FrameHeader header;
    header.kind = kind;
    header.operation = transfer.operation;
    header.element = transfer.element;
    header.tag = transfer.tag;
    header.bytes = transfer.bytes;
    return header;
}

bool is_same(const FrameHeader &one, const FrameHeader &other) {
    return one.operation == other.operation && one.element == other.element && one.tag == other.tag &&
           one.bytes == other.bytes;
}

} // namespace

LinkSet::LinkSet(int rank, int ranks) : rank_(rank), ranks_(ranks) {
    if (pipe2(wakeup_, O_CLOEXEC | O_NONBLOCK) != 0) wakeup_[0] = wakeup_[1] = -1;
}

LinkSet::~LinkSet() {
    ::close(wakeup_[0]);
    ::close(wakeup_[1]);
}

void LinkSet::add(int peer, Socket socket) {
    std::lock_guard lock(mutex_);
    const int flags = fcntl(socket.descriptor(), F_GETFL);
    fcntl(socket.descriptor(), F_SETFL, flags | O_NONBLOCK);
    if (closed_ || links_.count(peer) != 0) return;
    links_[peer].socket = std::move(socket);
    changed_.notify_all();
}

bool LinkSet::wait_complete(const std::function<bool()> &given_up,
                            std::optional<std::chrono::steady_clock::time_point> deadline) {
    std::unique_lock lock(mutex_);
    while (links_.size() + 1 < static_cast<std::size_t>(ranks_)) {
        changed_.wait_for(lock, LOOK);
        if (closed_ || (deadline && std::chrono::steady_clock::now() >= *deadline)) return false;
        lock.unlock();
        const bool ends = given_up();
        lock.lock();
        if (ends) return false;
    }
    return true;
}

void LinkSet::start() {
    auto self = shared_from_this();
    std::thread([self] { self->pump(); }).detach();
}

void LinkSet::wake() {
    const char byte = 0;
    if (wakeup_[1] >= 0 && ::write(wakeup_[1], &byte, 1) < 0) {
        // Full: it will wake up anyhow.
    }
}

Outcome LinkSet::run(std::vector<Transfer> &transfers, const std::function<bool()> &given_up,
                     std::optional<std::chrono::steady_clock::time_point> deadline) {
    std::unique_lock lock(mutex_);
    if (const Outcome before = stopped(transfers); !before.ok()) return before;
    for (auto &transfer : transfers) {
        auto &link = links_[transfer.peer];
        if (transfer.sends) {
            link.outgoing.push_back({header_of(FrameHeader::offer, transfer), nullptr, 0});
            link.sends.push_back(&transfer);
        } else {
            link.receives.push_back(&transfer);
        }
    }
    for (auto &[peer, link] : links_) match(peer, link);
    wake();
    Outcome outcome;
    while (outcome.ok()) {
        const bool done =
            std::all_of(transfers.begin(), transfers.end(), [](const Transfer &transfer) { return transfer.done; });
        if (done) break;
        outcome = stopped(transfers);
        if (!outcome.ok()) break;
        changed_.wait_for(lock, LOOK);
        lock.unlock();
        const bool ends = given_up();
        lock.lock();
        if (ends) outcome = Outcome::failed(Fault::aborted, "the operation was given up");
        if (deadline && std::chrono::steady_clock::now() >= *deadline) {
            outcome = Outcome::failed(Fault::timed_out, "not all ranks came in time");
        }
    }
    // A connection is of no use after an operation that was left half done.
    if (!outcome.ok() && !broken_) broken_ = outcome;
    forget(transfers);
    return outcome;
}

// Nothing may point to the transfers any more.
void LinkSet::forget(const std::vector<Transfer> &transfers) {
    const bool done =
        std::all_of(transfers.begin(), transfers.end(), [](const Transfer &transfer) { return transfer.done; });
    if (done) return;
    for (auto &[peer, link] : links_) {
        const bool is_used = !link.sends.empty() || !link.receives.empty() || !link.arriving.empty();
        link.sends.clear();
        link.receives.clear();
        const bool is_halfway = link.data_bytes > 0 || !link.arriving.empty() ||
                                std::any_of(link.outgoing.begin(), link.outgoing.end(),
                                            [](const Outgoing &frame) { return frame.transfer != nullptr; });
        link.arriving.clear();
        if (is_used && is_halfway) {
            link.outgoing.clear();
            link.socket.shut_down();
        }
    }
}

Outcome LinkSet::stopped(const std::vector<Transfer> &transfers) {
    if (closed_) return Outcome::failed(Fault::aborted, "the communicator was given up");
    if (broken_) return *broken_;
    for (const auto &transfer : transfers) {
        if (transfer.done) continue;
        const auto &link = links_[transfer.peer];
        if (link.standing == Standing::open) continue;
        const char *how = link.standing == Standing::left ? " has left" : " was lost";
        return Outcome::failed(Fault::peer_lost, "rank " + std::to_string(transfer.peer) + how);
    }
    return Outcome::success();
}

void LinkSet::match(int peer, Link &link) {
    while (!link.offers.empty() && !link.receives.empty()) {
        const FrameHeader offer = link.offers.front();
        Transfer *receive = link.receives.front();
        const FrameHeader own = header_of(FrameHeader::accept, *receive);
        link.offers.pop_front();
        link.receives.pop_front();
        if (is_same(offer, own)) {
            link.outgoing.push_back({own, nullptr, 0});
            link.arriving.push_back(receive);
            continue;
        }
        const std::string text = "rank " + std::to_string(peer) + " sends " + describe(offer) + ", rank " +
                                 std::to_string(rank_) + " expects " + describe(own);
        FrameHeader refusal = own;
        refusal.kind = FrameHeader::refuse;
        text.copy(refusal.text, sizeof refusal.text - 1);
        link.outgoing.push_back({refusal, nullptr, 0});
        if (!broken_) broken_ = Outcome::failed(Fault::mismatch, text);
        changed_.notify_all();
        return;
    }
}

bool LinkSet::write(Link &link) {
    while (!link.outgoing.empty()) {
        auto &frame = link.outgoing.front();
        const std::size_t payload = frame.transfer == nullptr ? 0 : frame.transfer->bytes;
        if (frame.sent == sizeof frame.header + payload) {
            if (frame.transfer != nullptr) frame.transfer->done = true;
            link.outgoing.pop_front();
            changed_.notify_all();
            continue;
        }
        const std::byte *at = reinterpret_cast<const std::byte *>(&frame.header) + frame.sent;
        std::size_t count = sizeof frame.header - std::min(frame.sent, sizeof frame.header);
        if (count == 0) {
            at = frame.transfer->data + (frame.sent - sizeof frame.header);
            count = sizeof frame.header + payload - frame.sent;
        }
        const ssize_t sent = send(link.socket.descriptor(), at, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return true;
        if (sent < 0) return false;
        frame.sent += static_cast<std::size_t>(sent);
    }
    return true;
}

bool LinkSet::read(int peer, Link &link) {
    while (true) {
        auto *header = reinterpret_cast<std::byte *>(&link.header);
        const bool in_header = link.header_bytes < sizeof link.header;
        if (!in_header && link.data_bytes == link.header.bytes) {
            take_frame(peer, link);
            link.header_bytes = 0;
            link.data_bytes = 0;
            continue;
        }
        if (!in_header && link.arriving.empty()) return false;
        std::byte *at = in_header ? header + link.header_bytes : link.arriving.front()->data + link.data_bytes;
        const std::size_t count =
            in_header ? sizeof link.header - link.header_bytes : link.header.bytes - link.data_bytes;
        const ssize_t received = recv(link.socket.descriptor(), at, count, MSG_DONTWAIT);
        if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return true;
        if (received <= 0) return false;
        if (!in_header) {
            link.data_bytes += static_cast<std::size_t>(received);
            continue;
        }
        link.header_bytes += static_cast<std::size_t>(received);
        // Only data has bytes behind its header.
        const bool is_whole = link.header_bytes == sizeof link.header;
        if (is_whole && link.header.kind != FrameHeader::data) link.data_bytes = link.header.bytes;
    }
}

void LinkSet::take_frame(int peer, Link &link) {
    switch (link.header.kind) {
    case FrameHeader::offer:
        link.offers.push_back(link.header);
        match(peer, link);
        break;
    case FrameHeader::accept:
        if (!link.sends.empty()) {
            Transfer *transfer = link.sends.front();
            link.sends.pop_front();
            link.outgoing.push_back({header_of(FrameHeader::data, *transfer), transfer, 0});
        }
        break;
    case FrameHeader::refuse:
        link.header.text[sizeof link.header.text - 1] = 0;
        if (!broken_) broken_ = Outcome::failed(Fault::mismatch, link.header.text);
        break;
    case FrameHeader::data:
        if (!link.arriving.empty()) {
            link.arriving.front()->done = true;
            link.arriving.pop_front();
        }
        break;
    case FrameHeader::meet: link.was_met = true; break;
    case FrameHeader::bye: link.standing = Standing::left; break;
    }
    changed_.notify_all();
}

void LinkSet::lose(int peer, Link &link) {
    static_cast<void>(peer);
    if (link.standing == Standing::open) link.standing = Standing::lost;
    link.socket.shut_down();
    link.socket.close();
    changed_.notify_all();
}

void LinkSet::pump() {
    while (true) {
        std::vector<pollfd> polled;
        std::vector<int> peers;
        {
            std::lock_guard lock(mutex_);
            bool has_more = false;
            for (auto &[peer, link] : links_) {
                if (!link.socket.is_open()) continue;
                const bool writes = !link.outgoing.empty();
                has_more = has_more || writes;
                polled.push_back({link.socket.descriptor(), static_cast<short>(POLLIN | (writes ? POLLOUT : 0)), 0});
                peers.push_back(peer);
            }
            if (leaving_ && !has_more) closed_ = true;
            if (closed_) {
                for (auto &[peer, link] : links_) {
                    link.socket.shut_down();
                    link.socket.close();
                }
                changed_.notify_all();
                return;
            }
        }
        polled.push_back({wakeup_[0], POLLIN, 0});
        poll(polled.data(), polled.size(), IDLE);
        char bytes[64];
        while (::read(wakeup_[0], bytes, sizeof bytes) > 0) {
        }
        const bool is_lost = Orders::all().loses(rank_);
        std::lock_guard lock(mutex_);
        for (std::size_t index = 0; index < peers.size(); ++index) {
            auto &link = links_[peers[index]];
            const bool readable = (polled[index].revents & ~POLLOUT) != 0;
            bool alive = !is_lost && !Orders::all().loses(peers[index]);
            if (alive && readable) alive = read(peers[index], link);
            if (alive && !write(link)) {
                // It may have said since that it leaves in good order.
                read(peers[index], link);
                alive = false;
            }
            if (!alive) lose(peers[index], link);
        }
    }
}

Outcome LinkSet::meet(const std::set<int> &peers, const std::function<bool()> &given_up,
                      std::optional<std::chrono::steady_clock::time_point> deadline) {
    std::unique_lock lock(mutex_);
    for (const int peer : peers) {
        auto &link = links_[peer];
        if (peer == rank_ || link.met) continue;
        link.met = true;
        FrameHeader header;
        header.kind = FrameHeader::meet;
        link.outgoing.push_back({header, nullptr, 0});
    }
    wake();
    while (true) {
        bool all = true;
        for (const int peer : peers) {
            if (peer == rank_) continue;
            const auto &link = links_[peer];
            all = all && link.was_met;
            if (!link.was_met && link.standing != Standing::open) {
                return Outcome::failed(Fault::peer_lost, "rank " + std::to_string(peer) + " was lost");
            }
        }
        if (all) return Outcome::success();
        if (closed_) return Outcome::failed(Fault::aborted, "the communicator was given up");
        changed_.wait_for(lock, LOOK);
        if (deadline && std::chrono::steady_clock::now() >= *deadline) {
            return Outcome::failed(Fault::timed_out, "not all peers came in time");
        }
        lock.unlock();
        const bool ends = given_up();
        lock.lock();
        if (ends) return Outcome::failed(Fault::aborted, "the communicator was given up");
    }
}

std::optional<std::string> LinkSet::lost() {
    std::lock_guard lock(mutex_);
    for (const auto &[peer, link] : links_) {
        if (link.standing == Standing::lost) return "rank " + std::to_string(peer) + " was lost";
    }
    return {};
}

void LinkSet::leave() {
    std::lock_guard lock(mutex_);
    if (closed_ || leaving_) return;
    leaving_ = true;
    for (auto &[peer, link] : links_) {
        if (!link.socket.is_open()) continue;
        FrameHeader header;
        header.kind = FrameHeader::bye;
        link.outgoing.push_back({header, nullptr, 0});
    }
    wake();
}

void LinkSet::close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    // The thread may be gone or not there yet, so this is not left to it alone.
    for (auto &[peer, link] : links_) link.socket.shut_down();
    changed_.notify_all();
    wake();
}

LinkSets &LinkSets::all() {
    static auto *const sets = new LinkSets;
    return *sets;
}

std::string LinkSets::key(const ProcessName &process, std::uint32_t number, int rank) {
    return std::to_string(process.pid) + "/" + std::to_string(process.nonce) + "/" + std::to_string(number) + "/" +
           std::to_string(rank);
}

void LinkSets::add(const ProcessName &process, std::uint32_t number, int rank,
                   const std::shared_ptr<LinkSet> &links) {
    std::lock_guard lock(mutex_);
    waiting_[key(process, number, rank)] = links;
}

void LinkSets::remove(const ProcessName &process, std::uint32_t number, int rank) {
    std::lock_guard lock(mutex_);
    waiting_.erase(key(process, number, rank));
}

void LinkSets::serve(Socket socket, const Greeting &greeting) {
    std::shared_ptr<LinkSet> links;
    {
        std::lock_guard lock(mutex_);
        const auto found = waiting_.find(key(greeting.process, greeting.number, greeting.to));
        if (found != waiting_.end()) links = found->second.lock();
    }
    // Without an end to link with, the other side sees the connection end.
    if (links != nullptr) links->add(greeting.from, std::move(socket));
}

} // namespace emulated
