#include "group.h"

#include <algorithm>

#include "core/violations.h"

namespace emulated {

Group &Group::here() {
    static thread_local Group group;
    return group;
}

Group::Work &Group::work_for(const char *function, const std::shared_ptr<End> &end) {
    for (const auto &work : works_) {
        if (work->end == end) return *work;
    }
    works_.push_back(std::make_unique<Work>());
    auto &work = *works_.back();
    work.end = end;
    // Held until the group ends, as the library is not to be called for the device meanwhile.
    work.turn = std::make_unique<DeviceTurn>(function, end->device());
    return work;
}

ncclResult_t Group::add_point(const Call &call, const std::shared_ptr<End> &end,
                              const std::shared_ptr<Stream> &stream, Part part) {
    auto &work = work_for(call.function(), end);
    work.calls.push_back(call);
    work.parts.push_back(std::move(part));
    if (std::find(work.streams.begin(), work.streams.end(), stream) == work.streams.end()) {
        work.streams.push_back(stream);
    }
    return is_open() ? ncclSuccess : flush();
}

ncclResult_t Group::add_collective(const Call &call, const std::shared_ptr<End> &end,
                                   const std::shared_ptr<Stream> &stream, Collective collective) {
    auto &work = work_for(call.function(), end);
    work.collectives.push_back({call, stream, std::move(collective)});
    return is_open() ? ncclSuccess : flush();
}

void Group::add_creation(std::shared_ptr<End> end) { creations_.push_back(std::move(end)); }

ncclResult_t Group::fail(ncclResult_t code) {
    if (is_open() && failure_ == ncclSuccess) failure_ = code;
    return code;
}

ncclResult_t Group::end() {
    if (depth_ == 0) {
        Violations::all().report("group_not_open", "ncclGroupEnd: the thread has no open group");
        return complain(ncclInvalidUsage, "no group is open");
    }
    depth_ -= 1;
    return depth_ > 0 ? ncclSuccess : flush();
}

// All streams of a communicator's calls meet at the first, which does the work.
Outcome Group::queue(Work &work) {
    if (!work.parts.empty()) {
        Call call = work.calls.front();
        for (std::size_t index = 1; index < work.calls.size(); ++index) call.join(work.calls[index]);
        const auto &first = work.streams.front();
        for (const auto &stream : work.streams) Cuda::here().order_with_null_stream(stream);
        for (const auto &stream : work.streams) {
            if (stream != first) first->wait_for("ncclGroupEnd", stream->capture("ncclGroupEnd"));
        }
        const Outcome queued = work.end->communicator()->exchange(call, *first, std::move(work.parts));
        if (!queued.ok()) return queued;
        for (const auto &stream : work.streams) {
            if (stream != first) stream->wait_for("ncclGroupEnd", first->capture("ncclGroupEnd"));
        }
    }
    for (auto &collected : work.collectives) {
        Cuda::here().order_with_null_stream(collected.stream);
        const Outcome queued =
            collected.collective(collected.call, *work.end->communicator(), *collected.stream);
        if (!queued.ok()) return queued;
    }
    return Outcome::success();
}

ncclResult_t Group::flush() {
    auto works = std::move(works_);
    works_.clear();
    auto creations = std::move(creations_);
    creations_.clear();
    ncclResult_t result = failure_;
    failure_ = ncclSuccess;
    for (const auto &end : creations) {
        const Outcome ready = end->communicator()->wait_ready();
        if (!ready.ok() && result == ncclSuccess) result = complain(ready);
    }
    if (result != ncclSuccess) return result;
    for (auto &owned : works) {
        const std::shared_ptr<Work> work = std::move(owned);
        // The library's own thread may go on; the caller's turn is over with the call.
        const auto turn = std::move(work->turn);
        const ncclResult_t code = work->end->launch([work] { return queue(*work); });
        if (result == ncclSuccess || (result == ncclInProgress && code != ncclSuccess)) result = code;
    }
    return result;
}

} // namespace emulated
