// Sends, receives and collectives.
#include "core/memory.h"
#include "core/violations.h"
#include "end.h"
#include "group.h"

using emulated::Call;
using emulated::Communicator;
using emulated::complain;
using emulated::Cuda;
using emulated::Element;
using emulated::End;
using emulated::end_of;
using emulated::Group;
using emulated::Memory;
using emulated::Outcome;
using emulated::Part;
using emulated::Reduction;
using emulated::Span;
using emulated::Stream;
using emulated::Violations;

namespace {

size_t bytes_of(ncclDataType_t type) {
    switch (type) {
    case ncclInt8:
    case ncclUint8:
    case ncclFloat8e4m3:
    case ncclFloat8e5m2: return 1;
    case ncclFloat16:
    case ncclBfloat16: return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32: return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64: return 8;
    }
    return 0;
}

bool element_of(ncclDataType_t type, Element *element) {
    switch (type) {
    case ncclInt8: *element = Element::int8; return true;
    case ncclUint8: *element = Element::uint8; return true;
    case ncclInt32: *element = Element::int32; return true;
    case ncclUint32: *element = Element::uint32; return true;
    case ncclInt64: *element = Element::int64; return true;
    case ncclUint64: *element = Element::uint64; return true;
    case ncclFloat16: *element = Element::float16; return true;
    case ncclFloat32: *element = Element::float32; return true;
    case ncclFloat64: *element = Element::float64; return true;
    case ncclBfloat16: *element = Element::bfloat16; return true;
    default: return false;
    }
}

// One call of an operation: what all of them check.
class Checked {
public:
    Checked(const char *function, ncclComm_t handle, cudaStream_t stream_handle, ncclDataType_t type)
        : call_(function), type_(type) {
        check(handle, stream_handle);
    }

    bool ends() const { return code_ != ncclSuccess; }
    ncclResult_t code() const { return Group::here().fail(code_); }
    const Call &call() const { return call_; }
    const std::shared_ptr<End> &end() const { return end_; }
    const std::shared_ptr<Stream> &stream() const { return stream_; }

    // A buffer of `count` elements: memory of the communicator's device, or page-locked.
    bool resolve(const void *address, size_t count, Span *span) {
        if (ends()) return false;
        *span = {};
        if (count == 0) return true;
        const size_t bytes = count * bytes_of(type_);
        const auto start = reinterpret_cast<std::uintptr_t>(address);
        const Outcome found = Memory::all().resolve(call_.function(), start, bytes, true, span);
        if (!found.ok()) {
            fail(complain(ncclInvalidArgument, found.text));
        } else if (span->is_device() && span->device() != end_->device()) {
            refuse("buffer_on_other_device", "the buffer is on device " + std::to_string(span->device()) +
                                                 ", the communicator on " + std::to_string(end_->device()));
        }
        return !ends();
    }

    void refuse(const char *rule, const std::string &sentence) {
        Violations::all().report(rule, std::string(call_.function()) + ": " + sentence);
        fail(complain(ncclInvalidArgument, sentence));
    }

private:
    void check(ncclComm_t handle, cudaStream_t stream_handle) {
        const char *function = call_.function();
        if (const Outcome refused = call_.refused(); !refused.ok()) return fail(complain(refused));
        end_ = end_of(function, handle);
        if (end_ == nullptr) return fail(ncclInvalidArgument);
        if (const ncclResult_t code = end_->check_ready(function); code != ncclSuccess) return fail(code);
        if (bytes_of(type_) == 0) return refuse("type_unknown", "no type has the number " + std::to_string(type_));
        stream_ = Cuda::here().stream(function, stream_handle, end_->communicator()->context());
        if (stream_ == nullptr) return fail(complain(ncclInvalidArgument, "the stream is none"));
        if (stream_->context()->device()->ordinal() != end_->device()) {
            refuse("stream_of_other_device", "stream and communicator are of different devices");
        }
    }

    void fail(ncclResult_t code) { code_ = code; }

    Call call_;
    const ncclDataType_t type_;
    std::shared_ptr<End> end_;
    std::shared_ptr<Stream> stream_;
    ncclResult_t code_ = ncclSuccess;
};

ncclResult_t point(const char *function, const void *buffer, size_t count, ncclDataType_t type, int peer,
                   bool sends, ncclComm_t handle, cudaStream_t stream) {
    Checked checked(function, handle, stream, type);
    Part part;
    if (!checked.resolve(buffer, count, &part.span)) return checked.code();
    part.peer = peer;
    part.sends = sends;
    part.element = static_cast<std::uint32_t>(type);
    if (peer < 0 || peer >= checked.end()->communicator()->ranks()) {
        checked.refuse("peer_out_of_range", "there is no rank " + std::to_string(peer));
        return checked.code();
    }
    return Group::here().add_point(checked.call(), checked.end(), checked.stream(), std::move(part));
}

} // namespace

extern "C" {

EMULATED_API ncclResult_t ncclGroupStart(void) {
    const Call call("ncclGroupStart");
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    Group::here().start();
    return ncclSuccess;
}

EMULATED_API ncclResult_t ncclGroupEnd(void) {
    const Call call("ncclGroupEnd");
    // Closed in any case, so that the thread is not left inside.
    const ncclResult_t ended = Group::here().end();
    if (const Outcome refused = call.refused(); !refused.ok()) return complain(refused);
    return ended;
}

EMULATED_API ncclResult_t ncclSend(const void *buffer, size_t count, ncclDataType_t type, int peer,
                                   ncclComm_t communicator, cudaStream_t stream) {
    return point("ncclSend", buffer, count, type, peer, true, communicator, stream);
}

EMULATED_API ncclResult_t ncclRecv(void *buffer, size_t count, ncclDataType_t type, int peer,
                                   ncclComm_t communicator, cudaStream_t stream) {
    return point("ncclRecv", buffer, count, type, peer, false, communicator, stream);
}

EMULATED_API ncclResult_t ncclAllGather(const void *send, void *receive, size_t count, ncclDataType_t type,
                                        ncclComm_t communicator, cudaStream_t stream) {
    Checked checked("ncclAllGather", communicator, stream, type);
    if (checked.ends()) return checked.code();
    Span own, all;
    const auto ranks = static_cast<size_t>(checked.end()->communicator()->ranks());
    if (!checked.resolve(send, count, &own) || !checked.resolve(receive, count * ranks, &all)) return checked.code();
    const auto element = static_cast<std::uint32_t>(type);
    return Group::here().add_collective(checked.call(), checked.end(), checked.stream(),
                                        [own, all, element](const Call &call, Communicator &end, Stream &stream) {
                                            return end.all_gather(call, stream, own, all, element);
                                        });
}

EMULATED_API ncclResult_t ncclBroadcast(const void *send, void *receive, size_t count, ncclDataType_t type,
                                        int root, ncclComm_t communicator, cudaStream_t stream) {
    Checked checked("ncclBroadcast", communicator, stream, type);
    if (checked.ends()) return checked.code();
    Span source, target;
    const auto &end = checked.end()->communicator();
    if (root < 0 || root >= end->ranks()) {
        checked.refuse("peer_out_of_range", "there is no rank " + std::to_string(root));
        return checked.code();
    }
    if (!checked.resolve(receive, count, &target)) return checked.code();
    // Others than the root may pass anything as what they send.
    if (root == end->rank() && !checked.resolve(send, count, &source)) return checked.code();
    const auto element = static_cast<std::uint32_t>(type);
    return Group::here().add_collective(
        checked.call(), checked.end(), checked.stream(),
        [source, target, root, element](const Call &call, Communicator &end, Stream &stream) {
            return end.broadcast(call, stream, source, target, root, element);
        });
}

EMULATED_API ncclResult_t ncclAllReduce(const void *send, void *receive, size_t count, ncclDataType_t type,
                                        ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream) {
    Checked checked("ncclAllReduce", communicator, stream, type);
    if (checked.ends()) return checked.code();
    Element element;
    if (!element_of(type, &element) || operation < ncclSum || operation > ncclAvg) {
        checked.refuse("reduction_unknown", "no such reduction of this type is emulated");
        return checked.code();
    }
    Span source, target;
    if (!checked.resolve(send, count, &source) || !checked.resolve(receive, count, &target)) return checked.code();
    // The numbers of both enumerations are in the same order.
    const auto reduction = static_cast<Reduction>(operation);
    return Group::here().add_collective(
        checked.call(), checked.end(), checked.stream(),
        [source, target, element, reduction](const Call &call, Communicator &end, Stream &stream) {
            return end.all_reduce(call, stream, source, target, element, reduction);
        });
}

} // extern "C"
