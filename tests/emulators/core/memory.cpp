#include "memory.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <sys/mman.h>

#include "device.h"
#include "exports.h"
#include "machine.h"
#include "violations.h"

namespace emulated {

namespace {

constexpr std::size_t PAGE = 4096;
// What fresh device memory holds, as far as it is filled: nobody may rely on zeros.
constexpr int FRESH = 0xA5;
constexpr std::size_t FILLED = std::size_t{1} << 20;
// What lies between the end of pinned memory and its last page's.
constexpr int CANARY = 0xC5;

std::size_t up(std::size_t number, std::size_t to) { return (number + to - 1) / to * to; }

std::string hex(std::uintptr_t address) {
    char text[32];
    std::snprintf(text, sizeof text, "0x%" PRIxPTR, address);
    return text;
}

std::string range(std::uintptr_t address, std::size_t bytes) {
    return std::to_string(bytes) + " bytes at " + hex(address);
}

std::string describe(const Allocation &allocation) {
    std::string text = std::string(text_of(allocation.place)) + " of " +
                       range(allocation.address, allocation.bytes);
    if (allocation.place == Place::device) text += " on device " + std::to_string(allocation.device);
    return text;
}

bool is_device_place(Place place) { return place == Place::device || place == Place::imported; }

} // namespace

const char *text_of(Place place) {
    switch (place) {
    case Place::device: return "device memory";
    case Place::imported: return "imported memory";
    case Place::pinned: return "pinned memory";
    case Place::registered: return "registered memory";
    }
    return "";
}

Allocation::~Allocation() {
    for (const auto &mapping : mappings) munmap(mapping.start, mapping.bytes);
    if (owner == nullptr) return;
    // Its count was given back when it was freed.
    owner->give_back(address, bytes, 0);
}

bool Span::is_host() const { return allocation == nullptr || !is_device_place(allocation->place); }

int Span::device() const { return is_host() ? -1 : allocation->device; }

Memory &Memory::all() {
    static auto *const memory = new Memory;
    return *memory;
}

Outcome Memory::allocate(Device &device, std::uint64_t context, std::size_t bytes, std::size_t alignment,
                         std::size_t padding, std::uintptr_t *address) {
    // Checked first, so that a huge number does not wrap.
    if (bytes > device.total_memory()) {
        return Outcome::failed(Fault::out_of_memory, std::to_string(bytes) + " bytes are more than there are");
    }
    auto allocation = std::make_shared<Allocation>();
    allocation->place = Place::device;
    allocation->device = device.ordinal();
    allocation->context = context;
    allocation->bytes = bytes;
    allocation->counted = up(bytes + padding, std::max<std::size_t>(alignment, 64));
    allocation->address = device.take(bytes, alignment, allocation->counted);
    if (allocation->address == 0) {
        return Outcome::failed(Fault::out_of_memory, std::to_string(bytes) + " bytes are not free on device " +
                                                         std::to_string(device.ordinal()));
    }
    allocation->owner = Machine::here().device(device.ordinal());
    allocation->data = device.data(allocation->address);
    std::memset(allocation->data, FRESH, std::min(bytes, FILLED));
    *address = allocation->address;
    std::lock_guard lock(mutex_);
    gone_.erase(*address);
    live_.emplace(*address, std::move(allocation));
    return Outcome::success();
}

Outcome Memory::allocate_pinned(int device, std::size_t bytes, std::uintptr_t *address) {
    auto allocation = std::make_shared<Allocation>();
    // A page behind it that faults, and what is left of its last page as a canary.
    const std::size_t usable = up(std::max<std::size_t>(bytes, 1), PAGE);
    if (usable < bytes) return Outcome::failed(Fault::out_of_memory, "too many bytes");
    void *start = mmap(nullptr, usable + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return Outcome::failed(Fault::out_of_memory, "the host has no memory left");
    allocation->mappings.push_back({start, usable + PAGE});
    allocation->data = static_cast<std::byte *>(start);
    mprotect(allocation->data + usable, PAGE, PROT_NONE);
    std::memset(allocation->data + bytes, CANARY, usable - bytes);
    allocation->place = Place::pinned;
    allocation->device = device;
    allocation->bytes = bytes;
    allocation->address = reinterpret_cast<std::uintptr_t>(start);
    *address = allocation->address;
    std::lock_guard lock(mutex_);
    gone_.erase(*address);
    live_.emplace(*address, std::move(allocation));
    return Outcome::success();
}

Outcome Memory::register_host(const char *function, int device, std::uintptr_t address, std::size_t bytes) {
    if (address == 0 || bytes == 0) return Outcome::failed(Fault::invalid_argument, "nothing to register");
    std::lock_guard lock(mutex_);
    const auto after = live_.lower_bound(address + bytes);
    if (after != live_.begin()) {
        const auto &before = *std::prev(after)->second;
        if (before.address + before.bytes > address) {
            Violations::all().report("registered_twice", std::string(function) + ": " + range(address, bytes) +
                                                             " overlap " + describe(before));
            return Outcome::failed(Fault::already_registered, "the range is registered already");
        }
    }
    auto allocation = std::make_shared<Allocation>();
    allocation->place = Place::registered;
    allocation->device = device;
    allocation->bytes = bytes;
    allocation->address = address;
    allocation->data = reinterpret_cast<std::byte *>(address);
    gone_.erase(address);
    live_.emplace(address, std::move(allocation));
    return Outcome::success();
}

Outcome Memory::unregister_host(const char *function, std::uintptr_t address) {
    return free(function, address, Place::registered);
}

Outcome Memory::free(const char *function, std::uintptr_t address, Place place) {
    const std::string name = function;
    std::shared_ptr<Allocation> allocation;
    {
        std::lock_guard lock(mutex_);
        const auto found = live_.find(address);
        if (found == live_.end() || found->second->place != place) {
            const auto inside = find_locked(address);
            if (inside != nullptr) {
                const char *rule = inside->place == place ? "free_inside_allocation" : "free_of_foreign_memory";
                Violations::all().report(rule, name + ": " + hex(address) + " is in " + describe(*inside));
            } else if (gone_.count(address) != 0) {
                Violations::all().report("double_free", name + ": " + hex(address) + " was freed before");
            } else {
                Violations::all().report("free_of_foreign_memory",
                                         name + ": " + hex(address) + " is no " + text_of(place));
            }
            return Outcome::failed(Fault::invalid_address, "no such allocation");
        }
        allocation = found->second;
        for (const auto &access : allocation->accesses) {
            if (HostClock::process().covers(access.point)) continue;
            Violations::all().report("freed_while_used",
                                     name + ": " + describe(*allocation) + " is used by " + access.function +
                                         ", and the host has not seen that to be over");
            break;
        }
        const auto *canary = allocation->data + allocation->bytes;
        const auto *end = allocation->data + up(std::max<std::size_t>(allocation->bytes, 1), PAGE);
        for (; place == Place::pinned && canary != end; ++canary) {
            if (*canary == std::byte{CANARY}) continue;
            Violations::all().report("overrun_of_pinned_memory",
                                     name + ": something was written behind " + describe(*allocation));
            break;
        }
        live_.erase(found);
        gone_[address] = address + std::max<std::size_t>(allocation->bytes, 1);
    }
    if (allocation->exported != 0) Exports::all().freed(function, *allocation);
    if (allocation->owner != nullptr) allocation->owner->release(allocation->counted);
    return Outcome::success();
}

std::shared_ptr<Allocation> Memory::find_locked(std::uintptr_t address) {
    const auto after = live_.upper_bound(address);
    if (after == live_.begin()) return nullptr;
    const auto &candidate = std::prev(after)->second;
    return address - candidate->address < std::max<std::size_t>(candidate->bytes, 1) ? candidate : nullptr;
}

std::shared_ptr<Allocation> Memory::find(std::uintptr_t address) {
    std::lock_guard lock(mutex_);
    return find_locked(address);
}

std::string Memory::describe_gone_locked(std::uintptr_t address) {
    const auto after = gone_.upper_bound(address);
    if (after == gone_.begin()) return "";
    const auto &[start, end] = *std::prev(after);
    return address < end ? "the memory at " + hex(start) + " was freed" : "";
}

Outcome Memory::resolve(const char *function, std::uintptr_t address, std::size_t bytes, bool must_be_known,
                        Span *span) {
    if (address == 0) return Outcome::failed(Fault::invalid_argument, "the address is null");
    const std::string what = std::string(function) + ": " + range(address, bytes);
    std::lock_guard lock(mutex_);
    *span = {};
    span->address = address;
    span->bytes = bytes;
    if (const auto allocation = find_locked(address)) {
        const std::size_t offset = address - allocation->address;
        if (bytes > allocation->bytes - offset) {
            Violations::all().report("range_outside_allocation", what + " leave " + describe(*allocation));
            return Outcome::failed(Fault::invalid_address, "the range leaves its allocation");
        }
        span->allocation = allocation;
        span->data = allocation->data + offset;
        return Outcome::success();
    }
    bool is_of_device = false;
    for (int ordinal = 0; ordinal < Machine::here().devices(); ++ordinal) {
        is_of_device = is_of_device || Machine::here().device(ordinal)->holds(address);
    }
    const std::string gone = describe_gone_locked(address);
    if (!gone.empty() && (is_of_device || must_be_known)) {
        Violations::all().report("use_after_free", what + ": " + gone);
        return Outcome::failed(Fault::invalid_address, gone);
    }
    if (is_of_device) {
        Violations::all().report("range_outside_allocation", what + " are in no live allocation");
        return Outcome::failed(Fault::invalid_address, "in no live allocation");
    }
    if (must_be_known) {
        Violations::all().report("foreign_memory", what + " are memory that the library does not know");
        return Outcome::failed(Fault::invalid_address, "memory that the library does not know");
    }
    // Host memory of the program: it may begin in unknown memory and reach into known one.
    const auto next = live_.lower_bound(address);
    if (next != live_.end() && next->first - address < bytes) {
        Violations::all().report("range_outside_allocation", what + " reach into " + describe(*next->second));
        return Outcome::failed(Fault::invalid_address, "the range is of two kinds of memory");
    }
    span->data = reinterpret_cast<std::byte *>(address);
    return Outcome::success();
}

std::size_t Memory::live(Place place) {
    std::lock_guard lock(mutex_);
    std::size_t count = 0;
    for (const auto &entry : live_) count += entry.second->place == place ? 1 : 0;
    return count;
}

std::uint64_t Memory::live_bytes(Place place) {
    std::lock_guard lock(mutex_);
    std::uint64_t bytes = 0;
    for (const auto &entry : live_) bytes += entry.second->place == place ? entry.second->bytes : 0;
    return bytes;
}

Outcome Memory::import(int file, std::uint64_t offset, std::size_t bytes, int owner_device,
                       std::shared_ptr<Device> importer, std::uint64_t context, std::uintptr_t *address) {
    auto allocation = std::make_shared<Allocation>();
    const std::uint64_t page_offset = offset / PAGE * PAGE;
    const std::size_t inset = offset - page_offset;
    const std::size_t length = up(inset + std::max<std::size_t>(bytes, 1), PAGE);
    void *start =
        mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, file, static_cast<off_t>(page_offset));
    if (start == MAP_FAILED) return Outcome::failed(Fault::system, "the memory could not be mapped");
    allocation->mappings.push_back({start, length});
    const std::uintptr_t range_start = importer->take_addresses(length);
    if (range_start == 0) return Outcome::failed(Fault::out_of_memory, "no addresses are left");
    allocation->place = Place::imported;
    allocation->device = owner_device;
    allocation->context = context;
    allocation->bytes = bytes;
    allocation->address = range_start + inset;
    allocation->data = static_cast<std::byte *>(start) + inset;
    allocation->owner = std::move(importer);
    *address = allocation->address;
    std::lock_guard lock(mutex_);
    gone_.erase(*address);
    live_.emplace(*address, std::move(allocation));
    return Outcome::success();
}

Outcome Memory::close_import(const char *function, std::uintptr_t address) {
    return free(function, address, Place::imported);
}

} // namespace emulated
