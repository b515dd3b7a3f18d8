// Operators.
#include <chrono>
#include <optional>
#include <set>

#include "ascend/state/ends.h"

#include "core/machine.h"
#include "core/memory.h"

using namespace emulated;

namespace {

// Elements of one call.
constexpr std::uint64_t MOST_ELEMENTS = 0x7FFFFFFFF;
constexpr std::uint64_t DEFAULT_CONNECT = 120000;

// The bytes of an element that operators without arithmetic move, 0 for none that is known.
std::size_t bytes_of(HcclDataType type) {
    switch (type) {
    case HCCL_DATA_TYPE_INT8:
    case HCCL_DATA_TYPE_UINT8: return 1;
    case HCCL_DATA_TYPE_INT16:
    case HCCL_DATA_TYPE_UINT16:
    case HCCL_DATA_TYPE_FP16:
    case HCCL_DATA_TYPE_BFP16: return 2;
    case HCCL_DATA_TYPE_INT32:
    case HCCL_DATA_TYPE_UINT32:
    case HCCL_DATA_TYPE_FP32: return 4;
    case HCCL_DATA_TYPE_INT64:
    case HCCL_DATA_TYPE_UINT64:
    case HCCL_DATA_TYPE_FP64: return 8;
    }
    return 0;
}

// What is added and compared on A2 and A3: no unsigned numbers, and no long fractions.
std::optional<Element> element_of(HcclDataType type) {
    switch (type) {
    case HCCL_DATA_TYPE_INT8: return Element::int8;
    case HCCL_DATA_TYPE_INT16: return Element::int16;
    case HCCL_DATA_TYPE_INT32: return Element::int32;
    case HCCL_DATA_TYPE_INT64: return Element::int64;
    case HCCL_DATA_TYPE_FP16: return Element::float16;
    case HCCL_DATA_TYPE_FP32: return Element::float32;
    case HCCL_DATA_TYPE_BFP16: return Element::bfloat16;
    default: return {};
    }
}

// One call, with what every operator checks.
class Operator {
public:
    Operator(const char *function, HcclComm communicator, aclrtStream stream)
        : call(function, Needs::context) {
        if (call.ends()) return;
        alone_.emplace(call, call.context()->device()->ordinal(), Alone::Kind::operation);
        call.outcome = Ends::all().of(call, communicator, &end_);
        if (call.ends()) return;
        if (end_->communicator->context() != call.context()) {
            call.report("communicator_of_another_context",
                        "threads that use a communicator have the context in which it was created");
            call.outcome = Outcome::failed(Fault::wrong_context, "the communicator is of another context");
            return;
        }
        if (end_->suspended) {
            call.outcome = {Fault::ordered, HCCL_E_SUSPENDING, "the communicator is suspended"};
            return;
        }
        if (stream == nullptr) {
            call.outcome = {Fault::ordered, HCCL_E_PTR, "the stream is null"};
            return;
        }
        call.outcome = Library::here().stream_of(call.function(), stream, &stream_);
    }

    // Whether there is nothing to do: then it is a success, or the reason stands in the call.
    bool has_nothing(std::uint64_t count, HcclDataType type) {
        if (call.ends()) return true;
        if (bytes_of(type) == 0) {
            call.outcome = Outcome::failed(Fault::unsupported, "the type of elements is not supported");
        } else if (count > MOST_ELEMENTS) {
            call.outcome = Outcome::failed(Fault::invalid_argument, std::to_string(count) + " elements are too many");
        }
        return call.ends() || count == 0;
    }

    // Device memory of the communicator's device.
    bool find(const void *buffer, std::uint64_t bytes, Span *span) {
        if (call.ends()) return false;
        const auto address = reinterpret_cast<std::uintptr_t>(buffer);
        call.outcome = Memory::all().resolve(call.function(), address, bytes, true, span);
        if (call.ends()) return false;
        const int own = call.context()->device()->ordinal();
        if (span->device() == own && span->allocation->place == Place::device) return true;
        call.report("buffer_on_other_device", "buffers are memory of the communicator's own device");
        call.outcome = Outcome::failed(Fault::invalid_address, "the buffer is not memory of the device");
        return false;
    }

    // Links are set up at first use, in the call, which waits for the others.
    bool meet(const std::set<int> &peers) {
        if (call.ends()) return false;
        static const std::uint64_t limit = setting("EPLB_EMULATOR_CONNECT_MILLISECONDS", DEFAULT_CONNECT);
        end_->linking += 1;
        call.outcome = communicator().meet(peers, std::chrono::steady_clock::now() + std::chrono::milliseconds(limit));
        end_->linking -= 1;
        if (call.outcome.fault == Fault::aborted) {
            call.outcome.text = "terminated by an external request to destroy the communicator";
        }
        return !call.ends();
    }

    bool meet_all() {
        std::set<int> peers;
        for (int peer = 0; peer < communicator().ranks(); ++peer) peers.insert(peer);
        return meet(peers);
    }

    Communicator &communicator() { return *end_->communicator; }
    Stream &stream() {
        stream_->has_had_tasks = true;
        return *stream_->stream;
    }
    HcclResult end() { return call.end_hccl(call.outcome); }
    HcclResult end(const Outcome &outcome) { return call.end_hccl(outcome); }

    AscendCall call;

private:
    std::optional<Alone> alone_;
    std::shared_ptr<EndNote> end_;
    std::shared_ptr<StreamNote> stream_;
};

HcclResult move_one(Operator &operation, void *buffer, std::uint64_t count, HcclDataType type, std::uint32_t peer,
                    bool sends) {
    if (operation.has_nothing(count, type)) return operation.end();
    Part part;
    part.peer = static_cast<int>(peer);
    part.sends = sends;
    part.element = type;
    if (part.peer == operation.communicator().rank() || part.peer >= operation.communicator().ranks()) {
        return operation.end(Outcome::failed(Fault::invalid_argument, "no such other rank"));
    }
    if (!operation.find(buffer, count * bytes_of(type), &part.span)) return operation.end();
    if (!operation.meet({part.peer})) return operation.end();
    return operation.end(operation.communicator().exchange(operation.call, operation.stream(), {part}));
}

} // namespace

extern "C" {

EMULATED_API HcclResult HcclBatchSendRecv(HcclSendRecvItem *items, uint32_t item_count, HcclComm communicator,
                                          aclrtStream stream) {
    Operator operation("HcclBatchSendRecv", communicator, stream);
    if (operation.call.ends() || item_count == 0) return operation.end();
    if (items == nullptr) return operation.end(Outcome::failed(Fault::invalid_argument, "no items"));
    std::vector<Part> parts;
    std::set<std::pair<std::uint32_t, std::uint32_t>> seen;
    std::set<int> peers;
    for (std::uint32_t index = 0; index < item_count; ++index) {
        const auto &item = items[index];
        if (item.sendRecvType > HCCL_RECV ||
            item.remoteRank >= static_cast<std::uint32_t>(operation.communicator().ranks())) {
            return operation.end(Outcome::failed(Fault::invalid_argument, "an item has no such direction or rank"));
        }
        if (!seen.emplace(item.remoteRank, item.sendRecvType).second) {
            operation.call.report("two_buffers_for_one_peer",
                                  "a batch has one buffer at most for each peer and direction");
            return operation.end(Outcome::failed(Fault::invalid_argument, "two buffers for one peer and direction"));
        }
        if (operation.has_nothing(item.count, item.dataType)) {
            if (operation.call.ends()) return operation.end();
            operation.call.report("empty_item", "an item of a batch has no elements");
            continue;
        }
        Part part;
        part.peer = static_cast<int>(item.remoteRank);
        part.sends = item.sendRecvType == HCCL_SEND;
        part.element = item.dataType;
        // Only items of batches meet each other.
        part.tag = 1;
        if (!operation.find(item.buf, item.count * bytes_of(item.dataType), &part.span)) return operation.end();
        peers.insert(part.peer);
        parts.push_back(part);
    }
    if (!operation.meet(peers)) return operation.end();
    return operation.end(operation.communicator().exchange(operation.call, operation.stream(), std::move(parts)));
}

EMULATED_API HcclResult HcclSend(void *buffer, uint64_t count, HcclDataType type, uint32_t destination_rank,
                                 HcclComm communicator, aclrtStream stream) {
    Operator operation("HcclSend", communicator, stream);
    return move_one(operation, buffer, count, type, destination_rank, true);
}

EMULATED_API HcclResult HcclRecv(void *buffer, uint64_t count, HcclDataType type, uint32_t source_rank,
                                 HcclComm communicator, aclrtStream stream) {
    Operator operation("HcclRecv", communicator, stream);
    return move_one(operation, buffer, count, type, source_rank, false);
}

EMULATED_API HcclResult HcclAllGather(void *send_buffer, void *receive_buffer, uint64_t count, HcclDataType type,
                                      HcclComm communicator, aclrtStream stream) {
    Operator operation("HcclAllGather", communicator, stream);
    if (operation.has_nothing(count, type)) return operation.end();
    const std::uint64_t bytes = count * bytes_of(type);
    const auto ranks = static_cast<std::uint64_t>(operation.communicator().ranks());
    Span own;
    Span all;
    if (!operation.find(send_buffer, bytes, &own) || !operation.find(receive_buffer, ranks * bytes, &all) ||
        !operation.meet_all()) {
        return operation.end();
    }
    return operation.end(operation.communicator().all_gather(operation.call, operation.stream(), own, all, type));
}

EMULATED_API HcclResult HcclBroadcast(void *buffer, uint64_t count, HcclDataType type, uint32_t root,
                                      HcclComm communicator, aclrtStream stream) {
    Operator operation("HcclBroadcast", communicator, stream);
    if (operation.has_nothing(count, type)) return operation.end();
    Span span;
    if (!operation.find(buffer, count * bytes_of(type), &span) || !operation.meet_all()) return operation.end();
    return operation.end(operation.communicator().broadcast(operation.call, operation.stream(), span, span,
                                                            static_cast<int>(root), type));
}

EMULATED_API HcclResult HcclAllReduce(void *send_buffer, void *receive_buffer, uint64_t count, HcclDataType type,
                                      HcclReduceOp reduction, HcclComm communicator, aclrtStream stream) {
    constexpr Reduction REDUCTIONS[] = {Reduction::sum, Reduction::product, Reduction::maximum, Reduction::minimum};
    Operator operation("HcclAllReduce", communicator, stream);
    if (operation.has_nothing(count, type)) return operation.end();
    const auto element = element_of(type);
    const bool is_product = reduction == HCCL_REDUCE_PROD;
    if (!element || (is_product && (type == HCCL_DATA_TYPE_INT16 || type == HCCL_DATA_TYPE_BFP16))) {
        return operation.end(Outcome::failed(Fault::unsupported, "no reduction of this type"));
    }
    if (reduction > HCCL_REDUCE_MIN) {
        return operation.end(Outcome::failed(Fault::invalid_argument, "no such reduction"));
    }
    const std::uint64_t bytes = count * bytes_of(type);
    Span source;
    Span target;
    if (!operation.find(send_buffer, bytes, &source) || !operation.find(receive_buffer, bytes, &target)) {
        return operation.end();
    }
    if ((source.address | target.address) % bytes_of(type) != 0) {
        return operation.end(Outcome::failed(Fault::misaligned, "buffers are aligned to their elements"));
    }
    if (!operation.meet_all()) return operation.end();
    return operation.end(operation.communicator().all_reduce(operation.call, operation.stream(), source, target,
                                                             *element, REDUCTIONS[reduction]));
}

// Of the stream: the host does not wait, but for links.
EMULATED_API HcclResult HcclBarrier(HcclComm communicator, aclrtStream stream) {
    Operator operation("HcclBarrier", communicator, stream);
    if (operation.call.ends() || !operation.meet_all()) return operation.end();
    return operation.end(operation.communicator().barrier(operation.call, operation.stream()));
}

} // extern "C"
