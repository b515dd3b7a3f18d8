// An event: the last capture of a stream.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>

#include "call.h"
#include "capture.h"
#include "context.h"
#include "stream.h"

namespace emulated {

class EMULATED_API Event {
public:
    // `out_of_events` if there are as many as the limit says.
    static Outcome create(std::shared_ptr<Context> context, std::uint64_t flags,
                          std::shared_ptr<Event> *event);
    ~Event();

    const std::shared_ptr<Context> &context() const { return context_; }
    std::uint64_t flags() const { return flags_; }

    // Captures anew. Whether stream and event may meet is the facade's business.
    void record(const char *function, Stream &stream);
    // The last capture; null before the first record.
    std::shared_ptr<Capture> captured();

private:
    Event(std::shared_ptr<Context> context, std::uint64_t flags);

    const std::shared_ptr<Context> context_;
    const std::uint64_t flags_;
    std::mutex mutex_;
    std::shared_ptr<Capture> captured_;
};

} // namespace emulated
