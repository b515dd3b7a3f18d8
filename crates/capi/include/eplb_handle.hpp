// What the classes of eplb.hpp are made of: errors, views, visits and the owner of a handle. Part of
// eplb.hpp; include that.
#ifndef EPLB_HANDLE_HPP
#define EPLB_HANDLE_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "eplb.h"

namespace eplb {

// A call that did not give EPLB_OK: its number, one line, and the vendor's number or 0.
class Error : public std::runtime_error {
  public:
    Error(eplb_status code, const std::string &message, std::int64_t vendor_code = 0)
        : std::runtime_error(message), code_(code), vendor_code_(vendor_code) {}

    eplb_status code() const noexcept { return code_; }
    const char *name() const noexcept { return eplb_status_name(code_); }
    std::int64_t vendor_code() const noexcept { return vendor_code_; }

    // Whether this rank must not run the step that it was to begin, and goes on with the next one.
    bool refuses_step() const noexcept {
        return code_ == EPLB_ERROR_STEP_REFUSED || code_ == EPLB_ERROR_COMMIT_FAILED ||
               code_ == EPLB_ERROR_HEADER;
    }

  private:
    eplb_status code_;
    std::int64_t vendor_code_;
};

inline void check(eplb_status status) {
    if (status != EPLB_OK) {
        throw Error(status, eplb_last_error(), eplb_last_vendor_code());
    }
}

// A structure of eplb.h with its size set and all else zero.
template <typename Structure> Structure sized() noexcept {
    Structure structure{};
    structure.struct_size = sizeof(Structure);
    return structure;
}

// Values that somebody else owns.
template <typename Value> class View {
  public:
    View() = default;
    View(const Value *data, std::size_t size) noexcept : data_(data), size_(size) {}
    View(const std::vector<Value> &values) noexcept : View(values.data(), values.size()) {}

    const Value *data() const noexcept { return data_; }
    std::size_t size() const noexcept { return size_; }
    const Value *begin() const noexcept { return data_; }
    const Value *end() const noexcept { return data_ + size_; }
    const Value &operator[](std::size_t index) const noexcept { return data_[index]; }
    std::vector<Value> copy() const { return std::vector<Value>(begin(), end()); }

  private:
    const Value *data_ = nullptr;
    std::size_t size_ = 0;
};

using Bytes = View<std::uint8_t>;

namespace detail {

inline Bytes view(const eplb_bytes &bytes) noexcept { return Bytes(bytes.data, bytes.size); }

inline std::string text(const eplb_bytes &bytes) {
    return std::string(reinterpret_cast<const char *>(bytes.data), bytes.size);
}

inline std::uint32_t milliseconds(std::chrono::milliseconds limit) noexcept {
    const auto count = limit.count();
    return count <= 0 ? 0 : count >= UINT32_MAX ? UINT32_MAX : static_cast<std::uint32_t>(count);
}

// A callback that may throw, for a visit of C: what it threw comes out behind the call.
template <typename Function> struct Visit {
    Function &function;
    std::exception_ptr thrown = nullptr;

    template <typename... Arguments> std::int32_t call(Arguments... arguments) noexcept {
        try {
            function(arguments...);
            return 0;
        } catch (...) {
            thrown = std::current_exception();
            return 1;
        }
    }

    void finish(eplb_status status) {
        if (thrown != nullptr) {
            std::rethrow_exception(thrown);
        }
        check(status);
    }
};

// Visits figures by name with `function(const char *name, std::uint64_t value)`.
template <typename Handle, typename Function>
void visit_figures(eplb_status (*visit_all)(const Handle *, eplb_figure_fn, void *),
                   const Handle *handle, Function function) {
    Visit<Function> visit{function};
    const auto each = [](void *user, const char *name, std::uint64_t value) -> std::int32_t {
        return static_cast<Visit<Function> *>(user)->call(name, value);
    };
    visit.finish(visit_all(handle, each, &visit));
}

// The owner of a handle. A handle that another thread is using when its owner goes stays alive.
template <typename Raw, eplb_status (*Free)(Raw *)> class Owner {
  public:
    Owner(Owner &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    Owner &operator=(Owner &&other) noexcept {
        if (this != &other) {
            Free(raw_);
            raw_ = std::exchange(other.raw_, nullptr);
        }
        return *this;
    }
    Owner(const Owner &) = delete;
    Owner &operator=(const Owner &) = delete;
    ~Owner() { Free(raw_); }

    Raw *get() const noexcept { return raw_; }
    // Frees the handle now, with an error where the destructor has none.
    void free() { check(Free(std::exchange(raw_, nullptr))); }

  protected:
    Owner() = default;
    explicit Owner(Raw *raw) noexcept : raw_(raw) {}
    Raw *raw_ = nullptr;
};

} // namespace detail

} // namespace eplb

#endif
