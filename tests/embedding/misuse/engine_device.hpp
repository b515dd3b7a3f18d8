// A backend that an engine brings along: host memory, on which queued work is done at once. Each of its
// functions can be told to fail, and it knows what was given out and not given back.
#pragma once

#include <eplb.hpp>

#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace misuse {

class EngineDevices {
  public:
    static constexpr std::uint32_t DEVICES = 2;

    // The functions, of which a test may take some away before it makes a backend of them.
    eplb_device_functions functions();

    // The next call of this function fails in this way, with code -77 and the text "told to".
    void fail(const std::string &function, std::int32_t kind) {
        const std::lock_guard<std::mutex> lock(mutex_);
        failures_[function] = kind;
    }

    // Devices, streams, events and ranges that were given out and not given back.
    std::size_t live() const {
        const std::lock_guard<std::mutex> lock(mutex_);
        return devices_ + numbers_.size() + ranges_.size() + exports_.size();
    }
    int released() const { return released_; }

    // What `describe` and the queries answer.
    std::size_t alignment = 64;
    std::int32_t progress = EPLB_PROGRESS_COMPLETE;
    bool gives_device = true;

  private:
    // What a call says: how the function was told to fail, or nothing.
    std::int32_t answer(const char *function, eplb_device_failure *failure) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto told = failures_.find(function);
        if (told == failures_.end()) {
            return EPLB_FAILURE_NONE;
        }
        const std::int32_t kind = told->second;
        failures_.erase(told);
        failure->code = -77;
        std::strncpy(failure->text, "told to", sizeof failure->text);
        return kind;
    }

    std::uintptr_t number() {
        const std::lock_guard<std::mutex> lock(mutex_);
        numbers_.insert(++last_number_);
        return last_number_;
    }

    std::int32_t forget(std::uintptr_t number) {
        const std::lock_guard<std::mutex> lock(mutex_);
        return numbers_.erase(number) == 1 ? EPLB_FAILURE_NONE : EPLB_FAILURE_INVALID_USE;
    }

    std::int32_t take(std::size_t bytes, std::uintptr_t *address) {
        void *const memory = std::aligned_alloc(64, (bytes + 63) / 64 * 64);
        if (memory == nullptr) {
            return EPLB_FAILURE_OUT_OF_MEMORY;
        }
        *address = reinterpret_cast<std::uintptr_t>(memory);
        const std::lock_guard<std::mutex> lock(mutex_);
        ranges_[*address] = bytes;
        return EPLB_FAILURE_NONE;
    }

    std::int32_t give_back(std::uintptr_t address) {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            if (ranges_.erase(address) == 0) {
                return EPLB_FAILURE_INVALID_USE;
            }
        }
        std::free(reinterpret_cast<void *>(address));
        return EPLB_FAILURE_NONE;
    }

    static EngineDevices &of(void *user) { return *static_cast<EngineDevices *>(user); }
    static EngineDevices &of(eplb_engine_device *device);

    mutable std::mutex mutex_;
    std::map<std::string, std::int32_t> failures_;
    std::set<std::uintptr_t> numbers_;
    std::map<std::uintptr_t, std::size_t> ranges_;
    std::multiset<std::uintptr_t> exports_;
    std::uintptr_t last_number_ = 0;
    std::size_t devices_ = 0;
    int released_ = 0;
};

} // namespace misuse

// One of its devices.
struct eplb_engine_device {
    misuse::EngineDevices *all;
    std::uint32_t ordinal;
};

inline misuse::EngineDevices &misuse::EngineDevices::of(eplb_engine_device *device) {
    return *device->all;
}

inline eplb_device_functions misuse::EngineDevices::functions() {
    using Device = eplb_engine_device;
    using Failure = eplb_device_failure;
    auto made = eplb::sized<eplb_device_functions>();
    made.name = "abacus";
    made.user = this;
    made.release = [](void *user) { ++of(user).released_; };
    made.count = [](void *user, std::uint32_t *devices, Failure *failure) {
        *devices = DEVICES;
        return of(user).answer("count", failure);
    };
    made.open = [](void *user, std::uint32_t ordinal, Device **device, Failure *failure) {
        if (const auto kind = of(user).answer("open", failure)) {
            return kind;
        }
        if (ordinal >= DEVICES) {
            return std::int32_t{EPLB_FAILURE_INVALID_USE};
        }
        if (of(user).gives_device) {
            *device = new Device{&of(user), ordinal};
            const std::lock_guard<std::mutex> lock(of(user).mutex_);
            ++of(user).devices_;
        }
        return std::int32_t{EPLB_FAILURE_NONE};
    };
    made.close = [](Device *device) {
        {
            const std::lock_guard<std::mutex> lock(of(device).mutex_);
            --of(device).devices_;
        }
        delete device;
    };
    made.describe = [](Device *device, eplb_device_info *info, Failure *failure) {
        info->ordinal = device->ordinal;
        info->alignment = of(device).alignment;
        info->peer_memory = 1;
        info->name = "wooden";
        return of(device).answer("describe", failure);
    };
    made.memory_info = [](Device *device, std::uint64_t *free, std::uint64_t *total, Failure *failure) {
        *free = 1;
        *total = 2;
        return of(device).answer("memory_info", failure);
    };
    made.create_stream = [](Device *device, std::int32_t, std::uintptr_t *stream, Failure *failure) {
        const auto kind = of(device).answer("create_stream", failure);
        *stream = kind == 0 ? of(device).number() : 0;
        return kind;
    };
    made.destroy_stream = [](Device *device, std::uintptr_t stream, Failure *) {
        return of(device).forget(stream);
    };
    made.query_stream = [](Device *device, std::uintptr_t, std::int32_t *progress, std::int32_t *kind,
                           Failure *failure) {
        *progress = of(device).progress;
        *kind = EPLB_FAILURE_LOST;
        return of(device).answer("query_stream", failure);
    };
    made.create_event = [](Device *device, std::uintptr_t *event, Failure *failure) {
        const auto kind = of(device).answer("create_event", failure);
        *event = kind == 0 ? of(device).number() : 0;
        return kind;
    };
    made.destroy_event = [](Device *device, std::uintptr_t event, Failure *) {
        return of(device).forget(event);
    };
    made.record_event = [](Device *device, std::uintptr_t, std::uintptr_t, Failure *failure) {
        return of(device).answer("record_event", failure);
    };
    made.wait_event = [](Device *device, std::uintptr_t, std::uintptr_t, Failure *failure) {
        return of(device).answer("wait_event", failure);
    };
    made.query_event = [](Device *device, std::uintptr_t, std::int32_t *progress, std::int32_t *kind,
                          Failure *failure) {
        *progress = of(device).progress;
        *kind = EPLB_FAILURE_LOST;
        return of(device).answer("query_event", failure);
    };
    made.allocate = [](Device *device, std::size_t bytes, std::uintptr_t *address, Failure *failure) {
        const auto kind = of(device).answer("allocate", failure);
        return kind == 0 ? of(device).take(bytes, address) : kind;
    };
    made.free = [](Device *device, std::uintptr_t address, Failure *) {
        return of(device).give_back(address);
    };
    made.allocate_pinned = [](Device *device, std::size_t bytes, std::uintptr_t *address,
                              Failure *failure) {
        const auto kind = of(device).answer("allocate_pinned", failure);
        return kind == 0 ? of(device).take(bytes, address) : kind;
    };
    made.free_pinned = [](Device *device, std::uintptr_t address, Failure *) {
        return of(device).give_back(address);
    };
    made.copy = [](Device *device, const eplb_copy *copies, std::size_t count, std::uintptr_t,
                   Failure *failure) {
        const auto kind = of(device).answer("copy", failure);
        for (std::size_t index = 0; kind == 0 && index < count; ++index) {
            std::memcpy(reinterpret_cast<void *>(copies[index].destination),
                        reinterpret_cast<const void *>(copies[index].source), copies[index].bytes);
        }
        return kind;
    };
    made.fill = [](Device *device, std::uintptr_t destination, std::uint8_t value, std::size_t bytes,
                   std::uintptr_t, Failure *failure) {
        const auto kind = of(device).answer("fill", failure);
        if (kind == 0) {
            std::memset(reinterpret_cast<void *>(destination), value, bytes);
        }
        return kind;
    };
    made.export_memory = [](Device *device, std::uintptr_t base, std::size_t bytes, std::uint8_t *key,
                            std::size_t capacity, std::size_t *size, Failure *failure) {
        if (const auto kind = of(device).answer("export_memory", failure)) {
            return kind;
        }
        const std::uintptr_t words[2] = {base, bytes};
        if (capacity < sizeof words) {
            return std::int32_t{EPLB_FAILURE_FAILED};
        }
        std::memcpy(key, words, sizeof words);
        *size = sizeof words;
        const std::lock_guard<std::mutex> lock(of(device).mutex_);
        of(device).exports_.insert(base);
        return std::int32_t{EPLB_FAILURE_NONE};
    };
    made.withdraw = [](Device *device, const std::uint8_t *key, std::size_t, Failure *) {
        std::uintptr_t words[2];
        std::memcpy(words, key, sizeof words);
        const std::lock_guard<std::mutex> lock(of(device).mutex_);
        of(device).exports_.erase(of(device).exports_.find(words[0]));
        return std::int32_t{EPLB_FAILURE_NONE};
    };
    made.import_memory = [](Device *device, const std::uint8_t *key, std::size_t size,
                            std::uintptr_t *address, std::size_t *bytes, Failure *failure) {
        std::uintptr_t words[2];
        if (size != sizeof words) {
            return std::int32_t{EPLB_FAILURE_INVALID_USE};
        }
        std::memcpy(words, key, sizeof words);
        *address = words[0];
        *bytes = words[1];
        return of(device).answer("import_memory", failure);
    };
    made.close_import = [](Device *, const std::uint8_t *, std::size_t, std::uintptr_t, Failure *) {
        return std::int32_t{EPLB_FAILURE_NONE};
    };
    return made;
}
