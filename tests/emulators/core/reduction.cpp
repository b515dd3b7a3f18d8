#include "reduction.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace emulated {

namespace {

float from_half(std::uint16_t bits) {
    const std::uint32_t sign = (bits & 0x8000u) << 16;
    std::uint32_t exponent = (bits >> 10) & 0x1fu;
    std::uint32_t fraction = bits & 0x3ffu;
    std::uint32_t wide = 0;
    if (exponent == 0x1f) {
        wide = sign | 0x7f800000u | (fraction << 13);
    } else if (exponent != 0) {
        wide = sign | ((exponent + 112) << 23) | (fraction << 13);
    } else if (fraction == 0) {
        wide = sign;
    } else {
        exponent = 113;
        while ((fraction & 0x400u) == 0) {
            fraction <<= 1;
            exponent -= 1;
        }
        wide = sign | (exponent << 23) | ((fraction & 0x3ffu) << 13);
    }
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
}

// Rounds to even.
std::uint16_t to_half(float value) {
    std::uint32_t wide;
    std::memcpy(&wide, &value, sizeof wide);
    const std::uint32_t sign = (wide >> 16) & 0x8000u;
    const std::uint32_t exponent = (wide >> 23) & 0xffu;
    std::uint32_t fraction = wide & 0x7fffffu;
    if (exponent == 0xff) return static_cast<std::uint16_t>(sign | 0x7c00u | (fraction != 0 ? 0x200u : 0));
    const int shifted = static_cast<int>(exponent) - 112;
    if (shifted >= 0x1f) return static_cast<std::uint16_t>(sign | 0x7c00u);
    int drop = 13;
    std::uint32_t base = static_cast<std::uint32_t>(shifted) << 10;
    if (shifted <= 0) {
        if (shifted < -10) return static_cast<std::uint16_t>(sign);
        fraction |= 0x800000u;
        drop = 14 - shifted;
        base = 0;
    }
    const std::uint32_t kept = fraction >> drop;
    const std::uint32_t rest = fraction & ((1u << drop) - 1);
    const std::uint32_t half = 1u << (drop - 1);
    const bool rounds_up = rest > half || (rest == half && (kept & 1u) != 0);
    return static_cast<std::uint16_t>(sign | (base + kept + (rounds_up ? 1u : 0u)));
}

float from_brain(std::uint16_t bits) {
    const std::uint32_t wide = static_cast<std::uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &wide, sizeof value);
    return value;
}

std::uint16_t to_brain(float value) {
    std::uint32_t wide;
    std::memcpy(&wide, &value, sizeof wide);
    if ((wide & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((wide >> 16) | 0x40u);
    wide += 0x7fffu + ((wide >> 16) & 1u);
    return static_cast<std::uint16_t>(wide >> 16);
}

template <class T>
T joined(Reduction reduction, T left, T right) {
    // Wrapping, as the devices do, which signed numbers may not in C++.
    if constexpr (std::is_integral_v<T>) {
        using Wide = std::uint64_t;
        if (reduction == Reduction::product) return static_cast<T>(static_cast<Wide>(left) * static_cast<Wide>(right));
        if (reduction == Reduction::sum || reduction == Reduction::average) {
            return static_cast<T>(static_cast<Wide>(left) + static_cast<Wide>(right));
        }
    } else {
        if (reduction == Reduction::product) return left * right;
        if (reduction == Reduction::sum || reduction == Reduction::average) return left + right;
    }
    return reduction == Reduction::maximum ? std::max(left, right) : std::min(left, right);
}

// Elements may lie at any address.
template <class T>
void reduce_as(Reduction reduction, std::byte *target, const std::byte *source, std::size_t count) {
    for (std::size_t index = 0; index < count; ++index) {
        T left, right;
        std::memcpy(&left, target + index * sizeof(T), sizeof(T));
        std::memcpy(&right, source + index * sizeof(T), sizeof(T));
        const T result = joined<T>(reduction, left, right);
        std::memcpy(target + index * sizeof(T), &result, sizeof(T));
    }
}

template <class From, class To>
void reduce_narrow(Reduction reduction, std::byte *target, const std::byte *source, std::size_t count, From from,
                   To to) {
    for (std::size_t index = 0; index < count; ++index) {
        std::uint16_t left, right;
        std::memcpy(&left, target + index * 2, 2);
        std::memcpy(&right, source + index * 2, 2);
        const std::uint16_t result = to(joined<float>(reduction, from(left), from(right)));
        std::memcpy(target + index * 2, &result, 2);
    }
}

template <class T>
void divide_as(std::byte *target, std::size_t count, int ranks) {
    for (std::size_t index = 0; index < count; ++index) {
        T value;
        std::memcpy(&value, target + index * sizeof(T), sizeof(T));
        value = static_cast<T>(value / static_cast<T>(ranks));
        std::memcpy(target + index * sizeof(T), &value, sizeof(T));
    }
}

template <class From, class To>
void divide_narrow(std::byte *target, std::size_t count, int ranks, From from, To to) {
    for (std::size_t index = 0; index < count; ++index) {
        std::uint16_t value;
        std::memcpy(&value, target + index * 2, 2);
        value = to(from(value) / static_cast<float>(ranks));
        std::memcpy(target + index * 2, &value, 2);
    }
}

} // namespace

std::size_t bytes_of(Element element) {
    switch (element) {
    case Element::int8:
    case Element::uint8: return 1;
    case Element::int16:
    case Element::uint16:
    case Element::float16:
    case Element::bfloat16: return 2;
    case Element::int32:
    case Element::uint32:
    case Element::float32: return 4;
    case Element::int64:
    case Element::uint64:
    case Element::float64: return 8;
    }
    return 0;
}

void reduce(Element element, Reduction reduction, std::byte *target, const std::byte *source, std::size_t count) {
    switch (element) {
    case Element::int8: return reduce_as<std::int8_t>(reduction, target, source, count);
    case Element::uint8: return reduce_as<std::uint8_t>(reduction, target, source, count);
    case Element::int16: return reduce_as<std::int16_t>(reduction, target, source, count);
    case Element::uint16: return reduce_as<std::uint16_t>(reduction, target, source, count);
    case Element::int32: return reduce_as<std::int32_t>(reduction, target, source, count);
    case Element::uint32: return reduce_as<std::uint32_t>(reduction, target, source, count);
    case Element::int64: return reduce_as<std::int64_t>(reduction, target, source, count);
    case Element::uint64: return reduce_as<std::uint64_t>(reduction, target, source, count);
    case Element::float32: return reduce_as<float>(reduction, target, source, count);
    case Element::float64: return reduce_as<double>(reduction, target, source, count);
    case Element::float16: return reduce_narrow(reduction, target, source, count, from_half, to_half);
    case Element::bfloat16: return reduce_narrow(reduction, target, source, count, from_brain, to_brain);
    }
}

void divide(Element element, std::byte *target, std::size_t count, int ranks) {
    switch (element) {
    case Element::int8: return divide_as<std::int8_t>(target, count, ranks);
    case Element::uint8: return divide_as<std::uint8_t>(target, count, ranks);
    case Element::int16: return divide_as<std::int16_t>(target, count, ranks);
    case Element::uint16: return divide_as<std::uint16_t>(target, count, ranks);
    case Element::int32: return divide_as<std::int32_t>(target, count, ranks);
    case Element::uint32: return divide_as<std::uint32_t>(target, count, ranks);
    case Element::int64: return divide_as<std::int64_t>(target, count, ranks);
    case Element::uint64: return divide_as<std::uint64_t>(target, count, ranks);
    case Element::float32: return divide_as<float>(target, count, ranks);
    case Element::float64: return divide_as<double>(target, count, ranks);
    case Element::float16: return divide_narrow(target, count, ranks, from_half, to_half);
    case Element::bfloat16: return divide_narrow(target, count, ranks, from_brain, to_brain);
    }
}

} // namespace emulated
