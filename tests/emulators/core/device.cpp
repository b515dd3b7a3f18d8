#include "device.h"

#include <algorithm>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine.h"
#include "orders.h"

namespace emulated {

namespace {

constexpr std::uintptr_t PAGE = 4096;
constexpr std::uint64_t DEFAULT_MEMORY = std::uint64_t{4} << 30;
// So many addresses for each byte of a device's memory, so that they are not soon given again. Only what
// is written takes memory.
constexpr std::uint64_t ADDRESSES_PER_BYTE = 16;
constexpr std::uint64_t LEAST_RANGE = std::uint64_t{16} << 30;
constexpr std::uint64_t LARGEST_RANGE = std::uint64_t{1} << 46;

std::uint64_t configured_memory() {
    static const std::uint64_t configured = setting("EPLB_EMULATOR_MEMORY", DEFAULT_MEMORY);
    return configured;
}

std::uintptr_t up(std::uintptr_t number, std::uintptr_t to) { return (number + to - 1) / to * to; }

} // namespace

Device::Device(int ordinal) : ordinal_(ordinal) {
    const std::uint64_t wanted = std::min(configured_memory(), LARGEST_RANGE) * ADDRESSES_PER_BYTE;
    range_ = up(std::max(wanted, LEAST_RANGE), PAGE);
    file_ = memfd_create("eplb-emulated-device", MFD_CLOEXEC);
    if (file_ < 0 || ftruncate(file_, static_cast<off_t>(range_)) != 0) return;
    void *addresses =
        mmap(nullptr, range_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (addresses == MAP_FAILED) return;
    start_ = reinterpret_cast<std::uintptr_t>(addresses);
    void *data = mmap(nullptr, range_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file_, 0);
    if (data == MAP_FAILED) return;
    data_ = static_cast<std::byte *>(data);
    // The first page stays a guard.
    next_ = start_ + PAGE;
}

Device::~Device() {
    if (start_ != 0) munmap(reinterpret_cast<void *>(start_), range_);
    if (data_ != nullptr) munmap(data_, range_);
    if (file_ >= 0) close(file_);
}

std::uint64_t Device::total_memory() const {
    return Orders::all().limit("memory", configured_memory());
}

std::uint64_t Device::free_memory() {
    const std::uint64_t total = total_memory();
    std::lock_guard lock(mutex_);
    return total - std::min(total, used_);
}

Outcome Device::reserve(std::uint64_t bytes) {
    const std::uint64_t total = total_memory();
    std::lock_guard lock(mutex_);
    if (used_ > total || bytes > total - used_) {
        return Outcome::failed(Fault::out_of_memory, std::to_string(bytes) + " bytes are not free on device " +
                                                         std::to_string(ordinal_));
    }
    used_ += bytes;
    return Outcome::success();
}

void Device::release(std::uint64_t bytes) {
    std::lock_guard lock(mutex_);
    used_ -= std::min(used_, bytes);
}

Outcome Device::enable_peer(int peer) {
    std::lock_guard lock(mutex_);
    if (!peers_.insert(peer).second) return Outcome::failed(Fault::already_registered, "enabled already");
    return Outcome::success();
}

Outcome Device::disable_peer(int peer) {
    std::lock_guard lock(mutex_);
    if (peers_.erase(peer) == 0) return Outcome::failed(Fault::peer_access_missing, "not enabled");
    return Outcome::success();
}

bool Device::reaches(int peer) {
    std::lock_guard lock(mutex_);
    return peer == ordinal_ || peers_.count(peer) != 0;
}

std::uintptr_t Device::take(std::size_t bytes, std::size_t alignment, std::size_t counted) {
    if (!reserve(counted).ok()) return 0;
    std::lock_guard lock(mutex_);
    const std::uintptr_t range = next_range(bytes, alignment);
    if (range == 0) used_ -= std::min<std::uint64_t>(used_, counted);
    return range;
}

// A page in front and one behind stay free. Below a page, starts are aligned as asked and no more, so
// that a caller who takes more for granted is seen.
std::uintptr_t Device::next_range(std::size_t bytes, std::size_t alignment) {
    const std::uintptr_t inset = alignment < PAGE ? alignment : 0;
    const std::uintptr_t step = std::max<std::uintptr_t>(alignment, PAGE);
    const std::uintptr_t end_of_all = start_ + range_;
    if (bytes > range_ / 2) return 0;
    for (int round = 0; round < 2; ++round) {
        std::uintptr_t first = up(next_, step);
        // Past whatever is still in use there.
        while (first + inset + bytes + PAGE <= end_of_all) {
            const std::uintptr_t end = up(first + inset + bytes, PAGE) + PAGE;
            const auto after = ranges_.lower_bound(end);
            if (after == ranges_.begin() || std::prev(after)->second <= first) {
                ranges_.emplace(first, end);
                next_ = end;
                return first + inset;
            }
            first = up(std::prev(after)->second, step);
        }
        next_ = start_ + PAGE;
    }
    return 0;
}

std::uintptr_t Device::take_addresses(std::size_t bytes) {
    std::lock_guard lock(mutex_);
    return next_range(bytes, PAGE);
}

void Device::give_back(std::uintptr_t address, std::size_t bytes, std::size_t counted) {
    std::lock_guard lock(mutex_);
    used_ -= std::min<std::uint64_t>(used_, counted);
    const std::uintptr_t first = address / PAGE * PAGE;
    const auto length = static_cast<off_t>(up(address + bytes, PAGE) - first);
    if (length > 0) {
        // If it fails the bytes stay, which only costs memory.
        const int punched = fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                      static_cast<off_t>(first - start_), length);
        static_cast<void>(punched);
    }
    ranges_.erase(first);
}

bool Device::holds(std::uintptr_t address) const { return address >= start_ && address < start_ + range_; }

std::byte *Device::data(std::uintptr_t address) const { return data_ + (address - start_); }

} // namespace emulated
