// Handles: numbers that look like pointers and must not be looked behind.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "vendor.h"

namespace emulated {

enum class HandleState { live, null, foreign, destroyed };

inline const char *text_of(HandleState state) {
    switch (state) {
    case HandleState::live: return "is alive";
    case HandleState::null: return "is null";
    case HandleState::foreign: return "is not one of this library";
    case HandleState::destroyed: return "was destroyed before";
    }
    return "";
}

// Live things of one kind by handle. A handle is an address that no program can touch (it faults), is
// never given twice, and tells its kind, so that what was destroyed, what is of another kind and what
// was never ours can be told apart.
template <class T>
class Registry {
public:
    explicit Registry(std::uint8_t kind) : base_((std::uintptr_t{0xE0} + kind) << 48) {}

    void *add(std::shared_ptr<T> value) {
        std::lock_guard lock(mutex_);
        const std::uintptr_t handle = base_ + (++last_ << 8);
        live_.emplace(handle, std::move(value));
        return reinterpret_cast<void *>(handle);
    }

    HandleState state(const void *handle) const {
        std::lock_guard lock(mutex_);
        return state_locked(reinterpret_cast<std::uintptr_t>(handle));
    }

    // Null unless it is alive.
    std::shared_ptr<T> find(const void *handle, HandleState *state = nullptr) const {
        std::lock_guard lock(mutex_);
        const auto key = reinterpret_cast<std::uintptr_t>(handle);
        if (state != nullptr) *state = state_locked(key);
        const auto found = live_.find(key);
        return found == live_.end() ? nullptr : found->second;
    }

    std::shared_ptr<T> remove(const void *handle, HandleState *state = nullptr) {
        std::lock_guard lock(mutex_);
        const auto key = reinterpret_cast<std::uintptr_t>(handle);
        if (state != nullptr) *state = state_locked(key);
        const auto found = live_.find(key);
        if (found == live_.end()) return nullptr;
        auto value = std::move(found->second);
        live_.erase(found);
        return value;
    }

    std::size_t live() const {
        std::lock_guard lock(mutex_);
        return live_.size();
    }

    std::vector<std::shared_ptr<T>> all() const {
        std::lock_guard lock(mutex_);
        std::vector<std::shared_ptr<T>> values;
        for (const auto &entry : live_) values.push_back(entry.second);
        return values;
    }

private:
    HandleState state_locked(std::uintptr_t handle) const {
        if (handle == 0) return HandleState::null;
        if (live_.count(handle) != 0) return HandleState::live;
        const bool was_given = handle > base_ && handle <= base_ + (last_ << 8) && (handle & 0xff) == 0;
        return was_given ? HandleState::destroyed : HandleState::foreign;
    }

    mutable std::mutex mutex_;
    std::map<std::uintptr_t, std::shared_ptr<T>> live_;
    const std::uintptr_t base_;
    std::uintptr_t last_ = 0;
};

} // namespace emulated
