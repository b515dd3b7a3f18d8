// A context: what streams and events belong to.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "device.h"

namespace emulated {

class Stream;

class EMULATED_API Context : public std::enable_shared_from_this<Context> {
public:
    // `failures_break_it`: a failed task ends all work of the context for good, as with CUDA.
    Context(std::shared_ptr<Device> device, bool failures_break_it);

    std::uint64_t id() const { return id_; }
    const std::shared_ptr<Device> &device() const { return device_; }
    bool failures_break_it() const { return failures_break_it_; }

    // The failure that broke it, if any.
    std::optional<Outcome> broken() const;
    void break_by(const Outcome &outcome);

    // Called by streams.
    void add(const std::shared_ptr<Stream> &stream);
    std::vector<std::shared_ptr<Stream>> streams() const;
    // Waits for all work of all its streams, and lets the host see it.
    void synchronize() const;

    // For the facade.
    std::atomic<std::uint64_t> references{0};

private:
    const std::uint64_t id_;
    const std::shared_ptr<Device> device_;
    const bool failures_break_it_;
    mutable std::mutex mutex_;
    std::optional<Outcome> broken_;
    mutable std::vector<std::weak_ptr<Stream>> streams_;
};

} // namespace emulated
