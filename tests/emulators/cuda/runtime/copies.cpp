// Copies and fills.
#include <cstring>
#include <vector>

#include "core/memory.h"
#include "core/orders.h"
#include "entry.h"

using emulated::Cuda;
using emulated::Entry;
using emulated::Memory;
using emulated::Outcome;
using emulated::Span;
using emulated::Stream;
using emulated::Task;
using emulated::Use;

namespace {

struct Copy {
    Span source;
    Span target;
};

std::uintptr_t number(const void *address) { return reinterpret_cast<std::uintptr_t>(address); }

// Whether host or device is where the kind says.
bool is_of_kind(const Copy &copy, cudaMemcpyKind kind) {
    switch (kind) {
    case cudaMemcpyHostToHost: return copy.source.is_host() && copy.target.is_host();
    case cudaMemcpyHostToDevice: return copy.source.is_host() && copy.target.is_device();
    case cudaMemcpyDeviceToHost: return copy.source.is_device() && copy.target.is_host();
    case cudaMemcpyDeviceToDevice: return copy.source.is_device() && copy.target.is_device();
    case cudaMemcpyDefault: return true;
    }
    return false;
}

cudaError_t resolve(Entry &entry, void *target, const void *source, size_t bytes, cudaMemcpyKind kind, Copy *copy) {
    auto &memory = Memory::all();
    Outcome found = memory.resolve(entry.function(), number(target), bytes, false, &copy->target);
    if (found.ok()) found = memory.resolve(entry.function(), number(source), bytes, false, &copy->source);
    if (!found.ok()) return entry.give(found);
    if (kind > cudaMemcpyDefault || kind < cudaMemcpyHostToHost) return entry.give(cudaErrorInvalidValue);
    if (!is_of_kind(*copy, kind)) {
        return entry.violate("copy_kind_wrong", "the direction is not that of the addresses", cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

Task task_of(std::vector<Copy> copies) {
    Task task;
    for (const auto &copy : copies) {
        task.uses.push_back({copy.source, false});
        task.uses.push_back({copy.target, true});
    }
    task.run = [copies = std::move(copies)](Stream &) {
        for (const auto &copy : copies) std::memmove(copy.target.data, copy.source.data, copy.source.bytes);
        return Outcome::success();
    };
    return task;
}

// Queues a task, and waits for it if `waits`.
cudaError_t queue(Entry &entry, const std::shared_ptr<Stream> &stream, Task task, bool waits) {
    Cuda::here().order_with_null_stream(stream);
    const Outcome queued = stream->enqueue(entry.call(), std::move(task));
    if (!queued.ok() || !waits) return entry.give(queued);
    stream->capture(entry.function())->wait();
    if (const auto broken = stream->context()->broken()) return entry.give(*broken);
    return cudaSuccess;
}

cudaError_t copy(Entry &entry, void *target, const void *source, size_t bytes, cudaMemcpyKind kind,
                 cudaStream_t handle, bool waits) {
    if (entry.ends_without_context()) return entry.refusal();
    if (bytes == 0) return cudaSuccess;
    const auto stream = Cuda::here().stream(entry.function(), handle, entry.context());
    if (stream == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    Copy copy;
    if (const cudaError_t code = resolve(entry, target, source, bytes, kind, &copy); code != cudaSuccess) return code;
    Task task = task_of({copy});
    Memory::all().report_overlaps(entry.function(), task.uses);
    const bool is_pageable = copy.source.is_pageable() || copy.target.is_pageable();
    if (is_pageable && !waits) {
        emulated::Violations::all().report("pageable_copy", std::string(entry.function()) +
                                                                ": host memory is not page-locked, so the call waited");
    }
    return queue(entry, stream, std::move(task), waits || is_pageable);
}

cudaError_t fill(Entry &entry, void *target, int value, size_t bytes, cudaStream_t handle, bool waits) {
    if (entry.ends_without_context()) return entry.refusal();
    if (bytes == 0) return cudaSuccess;
    const auto stream = Cuda::here().stream(entry.function(), handle, entry.context());
    if (stream == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    Span span;
    const Outcome found = Memory::all().resolve(entry.function(), number(target), bytes, true, &span);
    if (!found.ok()) return entry.give(found);
    if (span.is_host()) {
        return entry.violate("fill_of_host_memory", "only device memory can be filled", cudaErrorInvalidValue);
    }
    Task task;
    task.uses.push_back({span, true});
    task.run = [span, value](Stream &) {
        std::memset(span.data, value & 0xff, span.bytes);
        return Outcome::success();
    };
    return queue(entry, stream, std::move(task), waits);
}

struct Batch {
    void *const *targets;
    const void *const *sources;
    const size_t *sizes;
    size_t count;
    const cudaMemcpyAttributes *attributes;
    const size_t *first_copies;
    size_t attribute_count;
};

bool has_sound_attributes(const Batch &batch) {
    if (batch.count == 0 || batch.targets == nullptr || batch.sources == nullptr || batch.sizes == nullptr) return false;
    if (batch.attributes == nullptr || batch.first_copies == nullptr) return false;
    if (batch.attribute_count == 0 || batch.attribute_count > batch.count || batch.first_copies[0] != 0) return false;
    for (size_t index = 0; index < batch.attribute_count; ++index) {
        const auto order = batch.attributes[index].srcAccessOrder;
        if (order < cudaMemcpySrcAccessOrderStream || order > cudaMemcpySrcAccessOrderAny) return false;
        if (batch.attributes[index].flags > cudaMemcpyFlagPreferOverlapWithCompute) return false;
        if (batch.first_copies[index] >= batch.count) return false;
        if (index > 0 && batch.first_copies[index] <= batch.first_copies[index - 1]) return false;
    }
    return true;
}

cudaError_t copy_batch(const Batch &batch, size_t *failed, cudaStream_t handle) {
    Entry entry("cudaMemcpyBatchAsync");
    if (failed != nullptr) *failed = SIZE_MAX;
    if (entry.ends_without_context()) return entry.refusal();
    if (emulated::Orders::all().refuses("batch_copy")) return entry.give(cudaErrorNotSupported);
    if (Cuda::is_null_stream(handle)) {
        return entry.violate("batch_on_null_stream", "a batch needs a stream of its own", cudaErrorInvalidValue);
    }
    const auto stream = Cuda::here().stream(entry.function(), handle, entry.context());
    if (stream == nullptr) return entry.give(cudaErrorInvalidResourceHandle);
    if (!has_sound_attributes(batch)) return entry.give(cudaErrorInvalidValue);
    std::vector<Copy> copies(batch.count);
    bool is_pageable = false;
    for (size_t index = 0; index < batch.count; ++index) {
        if (failed != nullptr) *failed = index;
        if (batch.sizes[index] == 0) return entry.give(cudaErrorInvalidValue);
        const cudaError_t code = resolve(entry, batch.targets[index], batch.sources[index], batch.sizes[index],
                                         cudaMemcpyDefault, &copies[index]);
        if (code != cudaSuccess) return code;
        is_pageable = is_pageable || copies[index].source.is_pageable() || copies[index].target.is_pageable();
    }
    if (failed != nullptr) *failed = SIZE_MAX;
    Task task = task_of(std::move(copies));
    Memory::all().report_overlaps(entry.function(), task.uses);
    if (is_pageable) {
        emulated::Violations::all().report(
            "pageable_copy", "cudaMemcpyBatchAsync: host memory is not page-locked, so the call waited");
    }
    return queue(entry, stream, std::move(task), is_pageable);
}

cudaError_t batch_of_12(void **targets, void **sources, size_t *sizes, size_t count,
                        cudaMemcpyAttributes *attributes, size_t *first_copies, size_t attribute_count,
                        size_t *failed, cudaStream_t stream) {
    return copy_batch({targets, sources, sizes, count, attributes, first_copies, attribute_count}, failed, stream);
}

cudaError_t batch_of_13(void *const *targets, const void *const *sources, const size_t *sizes, size_t count,
                        cudaMemcpyAttributes *attributes, size_t *first_copies, size_t attribute_count,
                        cudaStream_t stream) {
    return copy_batch({targets, sources, sizes, count, attributes, first_copies, attribute_count}, nullptr, stream);
}

} // namespace

extern "C" {

EMULATED_API cudaError_t cudaMemcpy(void *target, const void *source, size_t bytes, cudaMemcpyKind kind) {
    Entry entry("cudaMemcpy");
    return copy(entry, target, source, bytes, kind, nullptr, true);
}

EMULATED_API cudaError_t cudaMemcpyAsync(void *target, const void *source, size_t bytes, cudaMemcpyKind kind,
                                         cudaStream_t stream) {
    Entry entry("cudaMemcpyAsync");
    return copy(entry, target, source, bytes, kind, stream, false);
}

EMULATED_API cudaError_t cudaMemcpyPeerAsync(void *target, int target_device, const void *source,
                                             int source_device, size_t bytes, cudaStream_t handle) {
    Entry entry("cudaMemcpyPeerAsync");
    if (entry.ends_without_context()) return entry.refusal();
    for (const auto &[address, device] : {std::pair<const void *, int>{target, target_device}, {source, source_device}}) {
        const auto allocation = Memory::all().find(number(address));
        if (allocation != nullptr && allocation->device != device) {
            return entry.violate("memory_of_other_device", "the memory is of another device than said",
                                 cudaErrorInvalidValue);
        }
    }
    return copy(entry, target, source, bytes, cudaMemcpyDeviceToDevice, handle, false);
}

EMULATED_API cudaError_t cudaMemset(void *target, int value, size_t bytes) {
    Entry entry("cudaMemset");
    return fill(entry, target, value, bytes, nullptr, true);
}

EMULATED_API cudaError_t cudaMemsetAsync(void *target, int value, size_t bytes, cudaStream_t stream) {
    Entry entry("cudaMemsetAsync");
    return fill(entry, target, value, bytes, stream, false);
}

// The symbol takes other arguments in 13 than in 12, and is absent before 12.8: whoever looks it up gets
// the form of the version that is emulated.
using AnyForm = void();

static AnyForm *form_of_batch(void) {
    const int version = emulated::cuda_version();
    if (version >= 13000) return reinterpret_cast<AnyForm *>(batch_of_13);
    return version >= 12080 ? reinterpret_cast<AnyForm *>(batch_of_12) : nullptr;
}

EMULATED_API void cudaMemcpyBatchAsync(void) __attribute__((ifunc("form_of_batch")));

} // extern "C"
