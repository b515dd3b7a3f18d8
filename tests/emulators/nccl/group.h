// Groups of calls of one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "core/communicator.h"
#include "end.h"

namespace emulated {

class Group {
public:
    // The calling thread's.
    static Group &here();

    bool is_open() const { return depth_ > 0; }
    void start() { depth_ += 1; }
    // Ends the innermost; the outermost queues all calls.
    ncclResult_t end();

    // A send or receive; outside of a group it is one of its own.
    ncclResult_t add_point(const Call &call, const std::shared_ptr<End> &end,
                           const std::shared_ptr<Stream> &stream, Part part);
    using Collective = std::function<Outcome(const Call &, Communicator &, Stream &)>;
    ncclResult_t add_collective(const Call &call, const std::shared_ptr<End> &end,
                                const std::shared_ptr<Stream> &stream, Collective collective);
    // A communicator that blocks, to be waited for at the end.
    void add_creation(std::shared_ptr<End> end);
    // A call of the group was refused: nothing of it is queued.
    ncclResult_t fail(ncclResult_t code);

private:
    struct Collected {
        Call call;
        std::shared_ptr<Stream> stream;
        Collective collective;
    };
    // What a group has for one communicator.
    struct Work {
        std::shared_ptr<End> end;
        std::unique_ptr<DeviceTurn> turn;
        std::vector<Call> calls;
        std::vector<std::shared_ptr<Stream>> streams;
        std::vector<Part> parts;
        std::vector<Collected> collectives;
    };

    Work &work_for(const char *function, const std::shared_ptr<End> &end);
    ncclResult_t flush();
    static Outcome queue(Work &work);

    int depth_ = 0;
    ncclResult_t failure_ = ncclSuccess;
    std::vector<std::unique_ptr<Work>> works_;
    std::vector<std::shared_ptr<End>> creations_;
};

} // namespace emulated
