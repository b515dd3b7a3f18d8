// All memory that the library knows, and what may be done with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "clock.h"
#include "outcome.h"

namespace emulated {

class Device;

enum class Place {
    // Of a device of this process. Its addresses fault when the host touches them: the bytes are
    // mapped elsewhere, at `data`.
    device,
    // Another process's, opened here. Faults, too.
    imported,
    // Page-locked host memory that the library allocated, at its own address.
    pinned,
    // The caller's host memory, page-locked by registration.
    registered,
};

EMULATED_API const char *text_of(Place place);

// Work of a stream that reads or writes a part of an allocation.
struct Access {
    Point point;
    std::size_t first = 0;
    std::size_t bytes = 0;
    bool writes = false;
    const char *function = "";
    // Of the stream.
    int device = 0;
};

struct EMULATED_API Allocation {
    Place place = Place::device;
    // For `device` and `imported`, where the bytes are; for host memory the device that was current.
    int device = 0;
    // The context it was made in, as its id; any context of the device may use it.
    std::uint64_t context = 0;
    std::uintptr_t address = 0;
    std::size_t bytes = 0;
    // What counts against the device's memory.
    std::size_t counted = 0;
    // Where the emulation reaches the bytes.
    std::byte *data = nullptr;
    // Number of the export, 0 if there is none (see exports.h).
    std::uint64_t exported = 0;
    // For the facade: how it was made (allocation policy, flags).
    std::uint64_t note = 0;

    // Releases what lies behind it, when the last task that uses it is gone.
    ~Allocation();
    Allocation() = default;
    Allocation(const Allocation &) = delete;
    Allocation &operator=(const Allocation &) = delete;

    // Under the lock of Memory.
    std::vector<Access> accesses;
    struct Mapping {
        void *start = nullptr;
        std::size_t bytes = 0;
    };
    // Of this allocation alone.
    std::vector<Mapping> mappings;
    // Whose addresses it has; none for host memory.
    std::shared_ptr<Device> owner;
};

// A checked range. Keeps its allocation's bytes in place.
struct EMULATED_API Span {
    // Null for host memory that the library does not know ("pageable").
    std::shared_ptr<Allocation> allocation;
    std::uintptr_t address = 0;
    std::size_t bytes = 0;
    std::byte *data = nullptr;

    bool is_pageable() const { return allocation == nullptr; }
    bool is_host() const;
    bool is_device() const { return !is_host(); }
    // -1 for host memory.
    int device() const;
};

struct Use {
    Span span;
    bool writes = false;
};

class EMULATED_API Memory {
public:
    static Memory &all();

    // Device memory; at least so aligned, and no more than that below a page. `bytes` may be zero
    // only if the vendor allows it: the facade's business. `padding` bytes are added to what counts.
    Outcome allocate(Device &device, std::uint64_t context, std::size_t bytes, std::size_t alignment,
                     std::size_t padding, std::uintptr_t *address);
    Outcome allocate_pinned(int device, std::size_t bytes, std::uintptr_t *address);
    Outcome register_host(const char *function, int device, std::uintptr_t address, std::size_t bytes);
    Outcome unregister_host(const char *function, std::uintptr_t address);

    // Reports `double_free`, `free_of_foreign_memory`, `free_inside_allocation`, `freed_while_used`
    // (work that the host has not seen to be over), `freed_while_imported`. With the last two the
    // memory is freed all the same; bytes stay in place for work that is queued.
    Outcome free(const char *function, std::uintptr_t address, Place place);

    // What a call means by a range. Reports `use_after_free` and `range_outside_allocation`; a null
    // address is `invalid_argument`. Host memory that nobody knows is a pageable span, unless
    // `must_be_known`, which reports `foreign_memory`.
    Outcome resolve(const char *function, std::uintptr_t address, std::size_t bytes, bool must_be_known,
                    Span *span);

    // The allocation that holds an address, without any report; null if none.
    std::shared_ptr<Allocation> find(std::uintptr_t address);

    // Notes what a task on a stream of `device` uses. `before` is what the task is ordered after.
    // Reports `race` where another task of the device, not ordered with it, uses the same bytes and one
    // of them writes.
    void note(const char *function, Point point, const Clock &before, int device,
              const std::vector<Use> &uses);
    // Something that is done within the call, now: the same, with all that the host has not seen to be
    // over.
    void note_host(const char *function, const Span &span, bool writes);
    // Reports `overlapping_ranges` if ranges that one task uses without an order overlap and one is
    // written; whether it did.
    bool report_overlaps(const char *function, const std::vector<Use> &uses);

    // Maps what another process exported: `bytes` at `offset` of the file, kept open by nobody.
    Outcome import(int file, std::uint64_t offset, std::size_t bytes, int owner_device,
                   std::shared_ptr<Device> importer, std::uint64_t context, std::uintptr_t *address);
    Outcome close_import(const char *function, std::uintptr_t address);

    std::size_t live(Place place);
    std::uint64_t live_bytes(Place place);

private:
    std::shared_ptr<Allocation> find_locked(std::uintptr_t address);
    std::string describe_gone_locked(std::uintptr_t address);

    std::mutex mutex_;
    // By start address.
    std::map<std::uintptr_t, std::shared_ptr<Allocation>> live_;
    // Start to end of what is gone: addresses come back only when a device's range is used up.
    std::map<std::uintptr_t, std::uintptr_t> gone_;
};

} // namespace emulated
