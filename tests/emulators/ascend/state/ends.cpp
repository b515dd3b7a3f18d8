#include "ascend/state/ends.h"

#include "core/machine.h"

namespace emulated {

namespace {

std::atomic<int> &inside_of(int device, Alone::Kind kind) {
    static std::mutex mutex;
    static auto *const counts = new std::map<std::pair<int, Alone::Kind>, std::atomic<int>>;
    std::lock_guard lock(mutex);
    return (*counts)[{device, kind}];
}

} // namespace

Ends &Ends::all() {
    static auto *const ends = new Ends;
    return *ends;
}

HcclComm Ends::add(const std::shared_ptr<EndNote> &note) {
    const HcclComm handle = Machine::here().communicators.add(note->communicator);
    std::lock_guard lock(mutex_);
    notes_[handle] = note;
    return handle;
}

Outcome Ends::of(const AscendCall &call, HcclComm handle, std::shared_ptr<EndNote> *note) {
    {
        std::lock_guard lock(mutex_);
        const auto found = notes_.find(handle);
        if (found != notes_.end()) {
            *note = found->second;
            return Outcome::success();
        }
    }
    const std::string text =
        std::string("the communicator ") + text_of(Machine::here().communicators.state(handle));
    if (handle != nullptr) call.report("use_of_destroyed_communicator", text);
    return Outcome::failed(Fault::invalid_handle, text);
}

void Ends::remove(HcclComm handle) {
    std::lock_guard lock(mutex_);
    notes_.erase(handle);
    Machine::here().communicators.remove(handle);
}

Alone::Alone(const AscendCall &call, int device, Kind kind) : inside_(inside_of(device, kind)) {
    if (inside_.fetch_add(1) == 0) return;
    if (kind == Kind::creation) {
        call.report("concurrent_creation", "communicators of one device are created one after another");
    } else {
        call.report("concurrent_operators", "operators of all communicators of a device are called one after another");
    }
}

Alone::~Alone() { inside_.fetch_sub(1); }

} // namespace emulated
