// Which queued work is ordered before which.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>

#include "vendor.h"

namespace emulated {

// A task: the number of its stream in the process, and its number in the stream, from 1.
struct Point {
    std::uint64_t stream = 0;
    std::uint64_t number = 0;
};

// A vector clock: for each stream the last task that is known to come before.
class EMULATED_API Clock {
public:
    void advance(Point point);
    void join(const Clock &other);
    bool covers(Point point) const;

private:
    std::map<std::uint64_t, std::uint64_t> numbers_;
};

// What the host has seen to be over, by a query or by waiting. One for all threads of the process: how
// they order themselves cannot be seen here, so it is assumed that they do.
class EMULATED_API HostClock {
public:
    static HostClock &process();

    void saw(const Clock &clock);
    void saw(Point point);
    bool covers(Point point);
    Clock now();

private:
    std::mutex mutex_;
    Clock clock_;
};

} // namespace emulated
