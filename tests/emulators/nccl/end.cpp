#include "end.h"

#include <chrono>
#include <map>
#include <thread>

#include "core/violations.h"

namespace emulated {

namespace {

// A launch that does not block comes about so much later than the call.
constexpr std::chrono::microseconds LATER{200};

std::mutex complaint_mutex;
// Of the process, as with the vendor; each stays for ever, because its address was given out.
const std::string *complaint = new std::string;

struct Turns {
    std::mutex mutex;
    // Per device the thread that is in a call, and how deep.
    std::map<int, std::pair<std::thread::id, int>> holders;
};

Turns &turns() {
    static auto *const all = new Turns;
    return *all;
}

} // namespace

ncclResult_t nccl_code(const Outcome &outcome) {
    switch (outcome.fault) {
    case Fault::none: return ncclSuccess;
    case Fault::ordered: return static_cast<ncclResult_t>(outcome.code);
    case Fault::invalid_argument:
    case Fault::invalid_address:
    case Fault::invalid_handle:
    case Fault::misaligned:
    case Fault::in_use: return ncclInvalidArgument;
    case Fault::duplicate_device:
    case Fault::mismatch:
    case Fault::not_permitted:
    case Fault::unsupported:
    case Fault::wrong_context: return ncclInvalidUsage;
    case Fault::peer_lost: return ncclRemoteError;
    case Fault::timed_out: return ncclTimeout;
    case Fault::system: return ncclSystemError;
    case Fault::aborted: return ncclInternalError;
    default: return ncclUnhandledCudaError;
    }
}

ncclResult_t complain(ncclResult_t code, const std::string &sentence) {
    if (code == ncclSuccess || code == ncclInProgress) return code;
    std::lock_guard lock(complaint_mutex);
    if (*complaint != sentence) complaint = new std::string(sentence);
    return code;
}

ncclResult_t complain(const Outcome &outcome) { return complain(nccl_code(outcome), outcome.text); }

const char *last_complaint() {
    std::lock_guard lock(complaint_mutex);
    return complaint->c_str();
}

End::End(std::shared_ptr<Communicator> communicator, bool blocks)
    : communicator_(std::move(communicator)), blocks_(blocks) {}

ncclResult_t End::standing() {
    if (revoked) return complain(ncclInvalidUsage, "the communicator was revoked");
    {
        std::lock_guard lock(mutex_);
        if (failure_) return complain(*failure_);
        if (launching_ > 0) return ncclInProgress;
    }
    const auto state = communicator_->state();
    if (state == Communicator::State::creating) return ncclInProgress;
    if (const auto failure = communicator_->failure()) return complain(*failure);
    if (finalizing && state == Communicator::State::ready) return ncclInProgress;
    return state == Communicator::State::aborted ? complain(ncclInternalError, "the communicator was aborted")
                                                 : ncclSuccess;
}

ncclResult_t End::check_ready(const char *function) {
    const ncclResult_t code = standing();
    if (code == ncclInProgress) {
        const std::string sentence = std::string(function) + ": the call before has not come to its end yet";
        Violations::all().report("call_while_in_progress", sentence);
        return complain(ncclInvalidArgument, sentence);
    }
    if (code == ncclSuccess && finalizing) {
        const std::string sentence = std::string(function) + ": the communicator was finalized";
        Violations::all().report("call_after_finalize", sentence);
        return complain(ncclInvalidArgument, sentence);
    }
    return code;
}

ncclResult_t End::launch(std::function<Outcome()> work) {
    if (blocks_) return complain(work());
    {
        std::lock_guard lock(mutex_);
        launching_ += 1;
    }
    std::thread([this, self = shared_from_this(), work = std::move(work)] {
        std::this_thread::sleep_for(LATER);
        const Outcome outcome = work();
        std::lock_guard lock(mutex_);
        launching_ -= 1;
        if (!outcome.ok() && !failure_) failure_ = outcome;
        changed_.notify_all();
    }).detach();
    return ncclInProgress;
}

void End::wait_launched() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return launching_ == 0; });
}

void *End::add_registration() {
    std::lock_guard lock(mutex_);
    // As all handles, not to be looked behind.
    last_registration_ += 1;
    const std::uintptr_t handle = (std::uintptr_t{0xF1} << 48) + (last_registration_ << 8);
    registrations_.insert(handle);
    return reinterpret_cast<void *>(handle);
}

bool End::remove_registration(void *handle) {
    std::lock_guard lock(mutex_);
    return registrations_.erase(reinterpret_cast<std::uintptr_t>(handle)) != 0;
}

Registry<End> &ends() {
    static auto *const all = new Registry<End>(4);
    return *all;
}

std::shared_ptr<End> end_of(const char *function, ncclComm_t handle) {
    HandleState state = HandleState::null;
    auto end = ends().find(handle, &state);
    if (end == nullptr) {
        const char *rule =
            state == HandleState::destroyed ? "use_of_destroyed_communicator" : "foreign_communicator";
        const std::string sentence = std::string(function) + ": the communicator " + text_of(state);
        Violations::all().report(rule, sentence);
        complain(ncclInvalidArgument, sentence);
    }
    return end;
}

Siblings &Siblings::all() {
    static auto *const all = new Siblings;
    return *all;
}

void Siblings::join(const CommunicatorName &name, const std::shared_ptr<Context> &context) {
    std::lock_guard lock(mutex_);
    families_[name.bytes()].contexts.push_back(context);
}

std::vector<std::shared_ptr<Context>> Siblings::leave(const CommunicatorName &name) {
    std::lock_guard lock(mutex_);
    const auto found = families_.find(name.bytes());
    if (found == families_.end() || ++found->second.gone < found->second.contexts.size()) return {};
    auto contexts = std::move(found->second.contexts);
    families_.erase(found);
    return contexts;
}

DeviceTurn::DeviceTurn(const char *function, int device) : device_(device) {
    std::lock_guard lock(turns().mutex);
    auto &[holder, depth] = turns().holders[device];
    if (depth > 0 && holder != std::this_thread::get_id()) {
        Violations::all().report("concurrent_calls", std::string(function) + ": another thread is in a call for device " +
                                                         std::to_string(device));
    }
    holder = std::this_thread::get_id();
    depth += 1;
}

DeviceTurn::~DeviceTurn() {
    std::lock_guard lock(turns().mutex);
    turns().holders[device_].second -= 1;
}

} // namespace emulated
