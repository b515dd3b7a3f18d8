// What a test orders the emulated library to do wrong. README.md has the grammar.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vendor.h"

namespace emulated {

// What the orders say about one call.
struct Ordered {
    // The call returns this code and does nothing else.
    std::optional<int> fail;
    // What the call queues fails on the device with this code.
    std::optional<int> fail_later;
    // What the call queues takes so much longer.
    std::chrono::microseconds delay{0};
    // What the call, or what it queues, puts out is garbage.
    bool garble = false;
};

struct Order {
    enum class Kind { delay, fail, fail_later, garble, lose, refuse, limit };
    Kind kind;
    // Function, capability or resource.
    std::string name;
    // Microseconds, code, rank or number.
    std::int64_t value = 0;
    // The first call that it is about, counted from 1 since the order was given.
    std::uint64_t nth = 1;
    // So many calls from there on; none is all.
    std::optional<std::uint64_t> times;
    // Calls on this device only.
    std::optional<int> device;
    std::uint64_t seen = 0;
};

// Orders of the process: from EPLB_EMULATOR_ORDERS, from the file EPLB_EMULATOR_CONTROL, which is read
// again when it changes, and from `eplb_emulator_order`.
class EMULATED_API Orders {
public:
    static Orders &all();

    // Empty if all orders were understood; else a sentence that names the one that was not, and none
    // is taken.
    std::string give(const std::string &text);
    // Counts a call and says what is ordered for it. `device` is the thread's, -1 if it has none.
    Ordered take(const char *function, int device);
    // Whether a capability is refused: peer_access, ipc, batch_copy, communicators, ...
    bool refuses(const char *capability);
    // Whether this rank of every communicator counts as lost.
    bool loses(int rank);
    // A limit (streams, events, memory) by order, or else `otherwise`.
    std::uint64_t limit(const char *resource, std::uint64_t otherwise);
    void clear();
    // How often each function was called in this process, and how often it failed by an order: one
    // `function made failed` per line.
    std::string calls();

private:
    struct Calls {
        std::uint64_t made = 0;
        std::uint64_t failed = 0;
    };

    Orders();
    void read_control();

    std::mutex mutex_;
    std::vector<Order> given_;
    std::vector<Order> control_;
    std::map<std::string, Calls> calls_;
    std::string control_path_;
    std::int64_t control_stamp_ = -1;
};

} // namespace emulated
