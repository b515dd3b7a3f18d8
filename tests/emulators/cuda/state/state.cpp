#include "state.h"

#include "core/violations.h"

namespace emulated {

namespace {
// Another name of the null stream.
const auto LEGACY = reinterpret_cast<cudaStream_t>(1);
constexpr std::uint64_t DEFAULT_VERSION = 13000;
}

int cuda_version() {
    static const auto version = static_cast<int>(setting("EPLB_EMULATOR_CUDA_VERSION", DEFAULT_VERSION));
    return version;
}

Cuda &Cuda::here() {
    static auto *const cuda = new Cuda;
    return *cuda;
}

std::shared_ptr<Context> Cuda::primary(int device) {
    const auto found = Machine::here().device(device);
    if (found == nullptr) return nullptr;
    std::lock_guard lock(mutex_);
    started_ = true;
    auto &context = primaries_[device];
    if (context == nullptr) {
        context = std::make_shared<Context>(found, true);
        handles_[context->id()] = Machine::here().contexts.add(context);
    }
    return context;
}

bool Cuda::is_primary_active(int device) {
    std::lock_guard lock(mutex_);
    return primaries_.count(device) != 0;
}

void *Cuda::handle_of(const std::shared_ptr<Context> &context) {
    if (context == nullptr) return nullptr;
    std::lock_guard lock(mutex_);
    return handles_[context->id()];
}

bool Cuda::is_started() {
    std::lock_guard lock(mutex_);
    return started_;
}

void Cuda::start() {
    std::lock_guard lock(mutex_);
    started_ = true;
}

bool Cuda::is_null_stream(cudaStream_t handle) { return handle == nullptr || handle == LEGACY; }

std::shared_ptr<Stream> Cuda::known_null_stream(const std::shared_ptr<Context> &context) {
    std::lock_guard lock(mutex_);
    const auto found = null_streams_.find(context->id());
    return found == null_streams_.end() ? nullptr : found->second;
}

std::shared_ptr<Stream> Cuda::null_stream(const std::shared_ptr<Context> &context) {
    if (auto known = known_null_stream(context)) return known;
    std::shared_ptr<Stream> made;
    // The limit of streams is of no matter to it: it is there from the start.
    if (!Stream::create_beyond_limit(context, 0, cudaStreamDefault, &made).ok()) return nullptr;
    std::lock_guard lock(mutex_);
    auto &kept = null_streams_[context->id()];
    if (kept == nullptr) {
        kept = made;
    } else {
        made->close();
    }
    return kept;
}

std::shared_ptr<Stream> Cuda::stream(const char *function, cudaStream_t handle,
                                     const std::shared_ptr<Context> &context) {
    if (is_null_stream(handle)) return null_stream(context);
    HandleState state = HandleState::null;
    auto stream = Machine::here().streams.find(handle, &state);
    if (stream == nullptr) {
        const char *rule = state == HandleState::destroyed ? "use_of_destroyed_stream" : "foreign_stream";
        Violations::all().report(rule, std::string(function) + ": the stream " + text_of(state));
    }
    return stream;
}

void Cuda::order_with_null_stream(const std::shared_ptr<Stream> &stream) {
    const auto context = stream->context();
    const auto null = known_null_stream(context);
    if (null == nullptr) return;
    if (stream != null) {
        if ((stream->flags() & cudaStreamNonBlocking) == 0) stream->wait_for("null stream", null->capture("null stream"));
        return;
    }
    for (const auto &other : context->streams()) {
        if (other == null || (other->flags() & cudaStreamNonBlocking) != 0) continue;
        null->wait_for("null stream", other->capture("null stream"));
    }
}

} // namespace emulated
