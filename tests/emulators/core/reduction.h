// Arithmetic of collectives.
#pragma once

#include <cstddef>
#include <cstdint>

#include "vendor.h"

namespace emulated {

enum class Element : std::uint32_t {
    int8, uint8, int16, uint16, int32, uint32, int64, uint64, float16, bfloat16, float32, float64,
};

enum class Reduction : std::uint32_t { sum, product, maximum, minimum, average };

EMULATED_API std::size_t bytes_of(Element element);

// target[i] = target[i] (+) source[i].
EMULATED_API void reduce(Element element, Reduction reduction, std::byte *target, const std::byte *source,
                         std::size_t count);
// Divides a sum by the number of ranks, for averages.
EMULATED_API void divide(Element element, std::byte *target, std::size_t count, int ranks);

} // namespace emulated
