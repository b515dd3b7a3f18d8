// One emulated device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "outcome.h"

namespace emulated {

// A device's memory is one sparse file in memory. Allocations are ranges of it, at the same offset as
// in the device's range of addresses, in which nothing is readable: only the emulation, through a
// second mapping of the file, touches the bytes. The file can be passed to other processes.
class EMULATED_API Device {
public:
    explicit Device(int ordinal);
    ~Device();
    Device(const Device &) = delete;
    Device &operator=(const Device &) = delete;

    // Whether the host gave it its memory; without, nothing can be done with it.
    bool is_sound() const { return data_ != nullptr; }

    int ordinal() const { return ordinal_; }
    std::uint64_t total_memory() const;
    std::uint64_t free_memory();
    // Counts memory that is no allocation, such as a communicator's buffers.
    Outcome reserve(std::uint64_t bytes);
    void release(std::uint64_t bytes);

    // Peers that this device may use, one way.
    Outcome enable_peer(int peer);
    Outcome disable_peer(int peer);
    bool reaches(int peer);

    // Takes a range of addresses; 0 if the memory does not suffice.
    std::uintptr_t take(std::size_t bytes, std::size_t alignment, std::size_t counted);
    // Gives it back, with its bytes.
    void give_back(std::uintptr_t address, std::size_t bytes, std::size_t counted);
    // As `take`, for imported memory: addresses only.
    std::uintptr_t take_addresses(std::size_t bytes);
    bool holds(std::uintptr_t address) const;
    std::byte *data(std::uintptr_t address) const;
    std::uint64_t offset(std::uintptr_t address) const { return address - start_; }
    // The file of all its memory.
    int file() const { return file_; }

private:
    std::uintptr_t next_range(std::size_t bytes, std::size_t alignment);

    const int ordinal_;
    int file_ = -1;
    std::size_t range_ = 0;
    std::uintptr_t start_ = 0;
    std::byte *data_ = nullptr;
    std::mutex mutex_;
    std::uint64_t used_ = 0;
    std::uintptr_t next_ = 0;
    // Start to end of the ranges in use, guard pages included.
    std::map<std::uintptr_t, std::uintptr_t> ranges_;
    std::set<int> peers_;
};

} // namespace emulated
