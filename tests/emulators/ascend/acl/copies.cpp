// Copies and fills.
#include <cstring>

#include "ascend/state/library.h"

#include "core/memory.h"
#include "core/orders.h"
#include "core/violations.h"

using namespace emulated;

namespace {

std::uintptr_t number(const void *address) { return reinterpret_cast<std::uintptr_t>(address); }

struct Sides {
    Span destination;
    Span source;
};

bool is_imported(const Span &span) { return span.allocation != nullptr && span.allocation->place == Place::imported; }

// What a copy is between, and that its sides are there.
Outcome find(AscendCall &call, void *destination, std::size_t room, const void *source, std::size_t bytes,
             Sides *sides) {
    if (bytes == 0) {
        call.report("zero_bytes", "copies of nothing are not made");
        return Outcome::failed(Fault::invalid_argument, "zero bytes; allowed are one or more");
    }
    if (room < bytes) {
        call.report("copy_beyond_room", std::to_string(bytes) + " bytes for a room of " + std::to_string(room));
        return Outcome::failed(Fault::invalid_argument, "there is less room than bytes");
    }
    auto &memory = Memory::all();
    const Outcome to = memory.resolve(call.function(), number(destination), bytes, false, &sides->destination);
    if (!to.ok()) return to;
    return memory.resolve(call.function(), number(source), bytes, false, &sides->source);
}

// The device has to be allowed to use memory of others.
Outcome check_reach(AscendCall &call, const Sides &sides) {
    const auto &device = call.context()->device();
    for (const auto *span : {&sides.destination, &sides.source}) {
        if (span->is_host() || device->reaches(span->device())) continue;
        const std::string text = "device " + std::to_string(device->ordinal()) + " has no access to device " +
                                 std::to_string(span->device());
        call.report("peer_access_missing", text);
        return Outcome::failed(Fault::peer_access_missing, text);
    }
    return Outcome::success();
}

Outcome check_kind(AscendCall &call, const Sides &sides, aclrtMemcpyKind kind) {
    const bool to_host = sides.destination.is_host();
    const bool from_host = sides.source.is_host();
    if ((to_host || from_host) && (is_imported(sides.destination) || is_imported(sides.source))) {
        call.report("host_copy_of_imported_memory", "imported memory is copied from and to devices only");
        return Outcome::failed(Fault::unsupported, "imported memory is copied from and to devices only");
    }
    if (kind == ACL_MEMCPY_DEFAULT) return Outcome::success();
    const bool says_to_host = kind == ACL_MEMCPY_DEVICE_TO_HOST || kind == ACL_MEMCPY_HOST_TO_HOST;
    const bool says_from_host = kind == ACL_MEMCPY_HOST_TO_DEVICE || kind == ACL_MEMCPY_HOST_TO_HOST;
    if (kind <= ACL_MEMCPY_DEFAULT && to_host == says_to_host && from_host == says_from_host) {
        return Outcome::success();
    }
    call.report("copy_kind_wrong", "the direction is not that of the addresses");
    return Outcome::failed(Fault::invalid_argument, "the direction is not that of the addresses");
}

Outcome check_queued(AscendCall &call, const Sides &sides, aclrtMemcpyKind kind) {
    if (kind == ACL_MEMCPY_HOST_TO_HOST || (sides.destination.is_host() && sides.source.is_host())) {
        return Outcome::failed(Fault::unsupported, "copies from host to host are not queued");
    }
    const Outcome is_right = check_kind(call, sides, kind);
    return is_right.ok() ? check_reach(call, sides) : is_right;
}

// Copies of pageable memory are over when the call returns.
Outcome queue(AscendCall &call, StreamNote &stream, const std::vector<Sides> &copies) {
    Task task;
    bool is_pageable = false;
    for (const auto &copy : copies) {
        task.uses.push_back({copy.destination, true});
        task.uses.push_back({copy.source, false});
        is_pageable = is_pageable || copy.destination.is_pageable() || copy.source.is_pageable();
    }
    Memory::all().report_overlaps(call.function(), task.uses);
    if (is_pageable) call.report("pageable_copy", "the host memory is not page-locked, so that the call waits");
    task.run = [copies](Stream &) {
        for (const auto &copy : copies) {
            std::memmove(copy.destination.data, copy.source.data, copy.source.bytes);
        }
        return Outcome::success();
    };
    stream.has_had_tasks = true;
    const Outcome queued = stream.stream->enqueue(call, std::move(task));
    // How the work ended is told to who waits for the stream.
    if (queued.ok() && is_pageable) stream.stream->synchronize();
    return queued;
}

Outcome find_known(AscendCall &call, void *destination, std::size_t room, std::size_t bytes, Span *span) {
    if (bytes == 0) {
        call.report("zero_bytes", "fills of nothing are not made");
        return Outcome::failed(Fault::invalid_argument, "zero bytes; allowed are one or more");
    }
    if (room < bytes) {
        call.report("copy_beyond_room", std::to_string(bytes) + " bytes for a room of " + std::to_string(room));
        return Outcome::failed(Fault::invalid_argument, "there is less room than bytes");
    }
    return Memory::all().resolve(call.function(), number(destination), bytes, true, span);
}

// Whether an attribute of a batch says what a side is.
bool says(const aclrtMemLocation &location, const Span &span) {
    if (span.is_host()) return location.eplb_type == ACL_MEM_LOCATION_TYPE_HOST;
    return location.eplb_type == ACL_MEM_LOCATION_TYPE_DEVICE && static_cast<int>(location.id) == span.device();
}

} // namespace

extern "C" {

// Ignores the direction, as the manual says.
EMULATED_API aclError aclrtMemcpy(void *destination, size_t room, const void *source, size_t bytes, aclrtMemcpyKind) {
    AscendCall call("aclrtMemcpy", Needs::context);
    if (call.ends()) return call.end();
    Sides sides;
    const Outcome found = find(call, destination, room, source, bytes, &sides);
    if (!found.ok()) return call.end(found);
    const Outcome is_right = check_kind(call, sides, ACL_MEMCPY_DEFAULT);
    if (!is_right.ok()) return call.end(is_right);
    if (is_imported(sides.destination) || is_imported(sides.source)) {
        call.report("host_copy_of_imported_memory", "imported memory is copied on streams only");
        return call.end(Fault::unsupported, "imported memory is copied on streams only");
    }
    const Outcome reaches = check_reach(call, sides);
    if (!reaches.ok()) return call.end(reaches);
    Memory::all().note_host(call.function(), sides.destination, true);
    Memory::all().note_host(call.function(), sides.source, false);
    std::memmove(sides.destination.data, sides.source.data, bytes);
    return call.end();
}

EMULATED_API aclError aclrtMemcpyAsync(void *destination, size_t room, const void *source, size_t bytes,
                                       aclrtMemcpyKind kind, aclrtStream handle) {
    AscendCall call("aclrtMemcpyAsync", Needs::context);
    if (call.ends()) return call.end();
    std::shared_ptr<StreamNote> stream;
    const Outcome has_stream = Library::here().stream_of(call.function(), handle, &stream);
    if (!has_stream.ok()) return call.end(has_stream);
    Sides sides;
    const Outcome found = find(call, destination, room, source, bytes, &sides);
    if (!found.ok()) return call.end(found);
    const Outcome is_right = check_queued(call, sides, kind);
    return call.end(is_right.ok() ? queue(call, *stream, {sides}) : is_right);
}

EMULATED_API aclError aclrtMemcpyBatchAsync(void **destinations, size_t *rooms, void **sources, size_t *bytes,
                                            size_t count, aclrtMemcpyBatchAttr *attributes,
                                            size_t *first_of_attribute, size_t attribute_count, size_t *failed,
                                            aclrtStream handle) {
    AscendCall call("aclrtMemcpyBatchAsync", Needs::context);
    if (failed != nullptr) *failed = SIZE_MAX;
    if (call.ends()) return call.end();
    if (Orders::all().refuses("batch_copy")) return call.end(Fault::unsupported, "refused by an order");
    if (destinations == nullptr || rooms == nullptr || sources == nullptr || bytes == nullptr || count == 0 ||
        attributes == nullptr || first_of_attribute == nullptr || attribute_count == 0 || failed == nullptr) {
        return call.end_with(ACL_ERROR_INVALID_PARAM, "a list is null or empty");
    }
    std::shared_ptr<StreamNote> stream;
    const Outcome has_stream = Library::here().stream_of(call.function(), handle, &stream);
    if (!has_stream.ok()) return call.end(has_stream);
    bool is_sorted = first_of_attribute[0] == 0;
    for (std::size_t index = 1; index < attribute_count; ++index) {
        is_sorted = is_sorted && first_of_attribute[index - 1] < first_of_attribute[index];
    }
    if (!is_sorted || first_of_attribute[attribute_count - 1] >= count) {
        call.report("batch_attributes_wrong", "the attributes do not cover the copies in their order");
        return call.end(Fault::invalid_argument, "the attributes do not cover the copies in their order");
    }
    std::vector<Sides> copies(count);
    std::size_t attribute = 0;
    for (std::size_t index = 0; index < count; ++index) {
        while (attribute + 1 < attribute_count && first_of_attribute[attribute + 1] <= index) attribute += 1;
        auto &copy = copies[index];
        Outcome outcome = find(call, destinations[index], rooms[index], sources[index], bytes[index], &copy);
        if (outcome.ok()) outcome = check_queued(call, copy, ACL_MEMCPY_DEFAULT);
        const bool is_said =
            !outcome.ok() || (says(attributes[attribute].dstLoc, copy.destination) &&
                              says(attributes[attribute].srcLoc, copy.source));
        if (!is_said) {
            call.report("batch_attributes_wrong", "copy " + std::to_string(index) + " is not where its attribute says");
            outcome = Outcome::failed(Fault::invalid_argument, "a copy is not where its attribute says");
        }
        if (!outcome.ok()) {
            *failed = index;
            return call.end(outcome);
        }
    }
    return call.end(queue(call, *stream, copies));
}

EMULATED_API aclError aclrtMemset(void *destination, size_t room, int32_t value, size_t bytes) {
    AscendCall call("aclrtMemset", Needs::context);
    if (call.ends()) return call.end();
    Span span;
    const Outcome found = find_known(call, destination, room, bytes, &span);
    if (!found.ok()) return call.end(found);
    const Outcome reaches = check_reach(call, {span, span});
    if (!reaches.ok()) return call.end(reaches);
    Memory::all().note_host(call.function(), span, true);
    std::memset(span.data, value, bytes);
    return call.end();
}

EMULATED_API aclError aclrtMemsetAsync(void *destination, size_t room, int32_t value, size_t bytes,
                                       aclrtStream handle) {
    AscendCall call("aclrtMemsetAsync", Needs::context);
    if (call.ends()) return call.end();
    std::shared_ptr<StreamNote> stream;
    const Outcome has_stream = Library::here().stream_of(call.function(), handle, &stream);
    if (!has_stream.ok()) return call.end(has_stream);
    Span span;
    const Outcome found = find_known(call, destination, room, bytes, &span);
    if (!found.ok()) return call.end(found);
    const Outcome reaches = check_reach(call, {span, span});
    if (!reaches.ok()) return call.end(reaches);
    Task task;
    task.uses.push_back({span, true});
    task.run = [span, value](Stream &) {
        std::memset(span.data, value, span.bytes);
        return Outcome::success();
    };
    stream->has_had_tasks = true;
    return call.end(stream->stream->enqueue(call, std::move(task)));
}

} // extern "C"
