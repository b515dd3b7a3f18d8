// The connections of one rank's end of a communicator, one per other rank.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "outcome.h"
#include "server.h"
#include "socket.h"

namespace emulated {

// What is on a connection: frames, each a header and, after `data`, bytes.
struct FrameHeader {
    enum Kind : std::uint32_t { offer = 1, accept, refuse, data, meet, bye };

    Kind kind = offer;
    std::uint32_t operation = 0;
    std::uint32_t element = 0;
    std::uint32_t tag = 0;
    std::uint64_t bytes = 0;
    char text[104] = {};
};

// One buffer that goes to a peer or comes from one.
struct Transfer {
    int peer = 0;
    bool sends = false;
    std::uint32_t operation = 0;
    std::uint32_t element = 0;
    std::uint32_t tag = 0;
    std::byte *data = nullptr;
    std::size_t bytes = 0;
    bool done = false;
};

class LinkSet : public std::enable_shared_from_this<LinkSet> {
public:
    LinkSet(int rank, int ranks);
    ~LinkSet();

    // A connection to a peer is there.
    void add(int peer, Socket socket);
    // Whether all peers are connected.
    bool wait_complete(const std::function<bool()> &given_up,
                       std::optional<std::chrono::steady_clock::time_point> deadline);
    // Starts the thread that moves frames.
    void start();

    // Moves all transfers, together. One call at a time.
    Outcome run(std::vector<Transfer> &transfers, const std::function<bool()> &given_up,
                std::optional<std::chrono::steady_clock::time_point> deadline);
    // See Communicator::meet.
    Outcome meet(const std::set<int> &peers, const std::function<bool()> &given_up,
                 std::optional<std::chrono::steady_clock::time_point> deadline);
    // A peer that was lost without leaving, as a sentence.
    std::optional<std::string> lost();
    // Tells peers that this end leaves, and ends.
    void leave();
    // Ends at once.
    void close();

private:
    enum class Standing { open, left, lost };
    struct Outgoing {
        FrameHeader header;
        Transfer *transfer = nullptr;
        std::size_t sent = 0;
    };
    struct Link {
        Socket socket;
        Standing standing = Standing::open;
        std::deque<Outgoing> outgoing;
        // What the peer offers, before a receive is there for it.
        std::deque<FrameHeader> offers;
        // Ours, in the order in which they are matched.
        std::deque<Transfer *> sends;
        std::deque<Transfer *> receives;
        // Receives that were accepted and wait for their bytes.
        std::deque<Transfer *> arriving;
        FrameHeader header;
        std::size_t header_bytes = 0;
        std::size_t data_bytes = 0;
        bool met = false;
        bool was_met = false;
    };

    void pump();
    void match(int peer, Link &link);
    bool write(Link &link);
    bool read(int peer, Link &link);
    void take_frame(int peer, Link &link);
    void lose(int peer, Link &link);
    void wake();
    void forget(const std::vector<Transfer> &transfers);
    Outcome stopped(const std::vector<Transfer> &transfers);

    const int rank_;
    const int ranks_;
    int wakeup_[2] = {-1, -1};
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<int, Link> links_;
    std::optional<Outcome> broken_;
    bool leaving_ = false;
    bool closed_ = false;
};

// All ends of this process that wait for connections, by communicator and rank.
class LinkSets {
public:
    static LinkSets &all();

    void add(const ProcessName &process, std::uint32_t number, int rank, const std::shared_ptr<LinkSet> &links);
    void remove(const ProcessName &process, std::uint32_t number, int rank);
    void serve(Socket socket, const Greeting &greeting);

private:
    static std::string key(const ProcessName &process, std::uint32_t number, int rank);

    std::mutex mutex_;
    std::map<std::string, std::weak_ptr<LinkSet>> waiting_;
};

} // namespace emulated
