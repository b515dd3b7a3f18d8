// libcublas.so.13, as far as it is bound: products of small matrices, worked out element by element.
#include <cmath>
#include <cstring>
#include <mutex>

#include "core/memory.h"
#include "core/registry.h"
#include "core/thread.h"
#include "core/violations.h"
#include "cuda/state/state.h"
#include "eplb_cublas.h"

using emulated::Call;
using emulated::Context;
using emulated::Cuda;
using emulated::Fault;
using emulated::HandleState;
using emulated::Memory;
using emulated::Outcome;
using emulated::Registry;
using emulated::Span;
using emulated::Stream;
using emulated::Task;
using emulated::Thread;
using emulated::Violations;

namespace {

// What a handle stands for.
struct State {
    std::shared_ptr<Context> context;
    // The null stream's handle, until another is set.
    cudaStream_t stream = nullptr;
};

Registry<State> &states() {
    static auto *const all = new Registry<State>(5);
    return *all;
}

// The one place where outcomes become codes of cuBLAS.
cublasStatus_t cublas_code(const Outcome &outcome) {
    switch (outcome.fault) {
    case Fault::none: return CUBLAS_STATUS_SUCCESS;
    case Fault::ordered: return static_cast<cublasStatus_t>(outcome.code);
    case Fault::no_context: return CUBLAS_STATUS_NOT_INITIALIZED;
    case Fault::out_of_memory: return CUBLAS_STATUS_ALLOC_FAILED;
    case Fault::unsupported: return CUBLAS_STATUS_NOT_SUPPORTED;
    case Fault::lost:
    case Fault::aborted: return CUBLAS_STATUS_EXECUTION_FAILED;
    case Fault::not_permitted:
    case Fault::system: return CUBLAS_STATUS_INTERNAL_ERROR;
    default: return CUBLAS_STATUS_INVALID_VALUE;
    }
}

// Null, and a report, if the handle means nothing.
std::shared_ptr<State> state_of(const Call &call, cublasHandle_t handle) {
    HandleState found;
    auto state = states().find(handle, &found);
    if (state == nullptr) {
        const std::string sentence = std::string(call.function()) + ": the handle " + text_of(found);
        Violations::all().report("cublas_handle", sentence);
    }
    return state;
}

float read_half(const std::byte *at) {
    std::uint16_t half;
    std::memcpy(&half, at, sizeof half);
    const std::uint32_t bits = std::uint32_t{half} << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// To the nearest, ties to even; what is no number stays one.
void write_half(std::byte *at, float value) {
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    if (!std::isnan(value)) bits += 0x7fff + ((bits >> 16) & 1);
    const auto half = static_cast<std::uint16_t>(bits >> 16);
    std::memcpy(at, &half, sizeof half);
}

// Matrices column by column, without gaps.
void multiply(const std::byte *a, const std::byte *b, std::byte *c, int rows, int columns, int inner) {
    constexpr int size = 2;
    for (int column = 0; column < columns; column++) {
        for (int row = 0; row < rows; row++) {
            float sum = 0;
            for (int at = 0; at < inner; at++) {
                sum += read_half(a + size * (row + at * rows)) * read_half(b + size * (at + column * inner));
            }
            write_half(c + size * (row + column * rows), sum);
        }
    }
}

} // namespace

extern "C" {

EMULATED_API cublasStatus_t cublasCreate_v2(cublasHandle_t *handle) {
    const Call call("cublasCreate_v2");
    if (const Outcome refused = call.refused(); !refused.ok()) return cublas_code(refused);
    if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    auto context = Thread::here().context;
    if (context == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = static_cast<cublasHandle_t>(states().add(std::make_shared<State>(State{std::move(context)})));
    return CUBLAS_STATUS_SUCCESS;
}

EMULATED_API cublasStatus_t cublasDestroy_v2(cublasHandle_t handle) {
    const Call call("cublasDestroy_v2");
    const auto state = state_of(call, handle);
    if (state == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (const Outcome refused = call.refused(); !refused.ok()) return cublas_code(refused);
    state->context->synchronize();
    states().remove(handle);
    return CUBLAS_STATUS_SUCCESS;
}

EMULATED_API cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
    const Call call("cublasSetStream_v2");
    const auto state = state_of(call, handle);
    if (state == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (const Outcome refused = call.refused(); !refused.ok()) return cublas_code(refused);
    if (Cuda::here().stream(call.function(), stream, state->context) == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    state->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}

EMULATED_API const char *cublasGetStatusString(cublasStatus_t status) {
    const Call call("cublasGetStatusString", true);
    return status == CUBLAS_STATUS_SUCCESS ? "success (emulated)" : "a failure (emulated)";
}

EMULATED_API cublasStatus_t cublasSgemmEx(cublasHandle_t handle, cublasOperation_t first, cublasOperation_t second,
                                          int m, int n, int k, const float *alpha, const void *a,
                                          cudaDataType_t a_type, int a_leading, const void *b, cudaDataType_t b_type,
                                          int b_leading, const float *beta, void *c, cudaDataType_t c_type,
                                          int c_leading) {
    const Call call("cublasSgemmEx");
    const auto state = state_of(call, handle);
    if (state == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (const Outcome refused = call.refused(); !refused.ok()) return cublas_code(refused);
    if (m <= 0 || n <= 0 || k <= 0 || alpha == nullptr || beta == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    const bool is_plain = first == CUBLAS_OP_N && second == CUBLAS_OP_N && *alpha == 1 && *beta == 0;
    const bool is_dense = a_leading == m && b_leading == k && c_leading == m;
    const bool is_half = a_type == CUDA_R_16BF && b_type == CUDA_R_16BF && c_type == CUDA_R_16BF;
    if (!is_plain || !is_dense || !is_half) return CUBLAS_STATUS_NOT_SUPPORTED;
    const auto stream = Cuda::here().stream(call.function(), state->stream, state->context);
    if (stream == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
    Span spans[3];
    const void *addresses[] = {a, b, c};
    const size_t elements[] = {size_t(m) * k, size_t(k) * n, size_t(m) * n};
    for (int index = 0; index < 3; index++) {
        const auto address = reinterpret_cast<std::uintptr_t>(addresses[index]);
        const Outcome found =
            Memory::all().resolve(call.function(), address, 2 * elements[index], true, &spans[index]);
        if (!found.ok()) return cublas_code(found);
    }
    Task task;
    task.run = [left = spans[0], right = spans[1], product = spans[2], m, n, k](Stream &) {
        multiply(left.data, right.data, product.data, m, n, k);
        return Outcome{};
    };
    task.uses = {{spans[0], false}, {spans[1], false}, {spans[2], true}};
    return cublas_code(stream->enqueue(call, std::move(task)));
}

} // extern "C"
