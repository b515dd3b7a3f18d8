// Communicators as the facade of HCCL knows them, and whose turn it is to call it.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "ascend/state/library.h"

#include "core/communicator.h"

namespace emulated {

struct EndNote {
    std::shared_ptr<Communicator> communicator;
    std::string name;
    // Calls that set up links, and so may be ended by destroying it.
    std::atomic<int> linking{0};
    std::atomic<bool> suspended{false};
};

class EMULATED_API Ends {
public:
    static Ends &all();

    HcclComm add(const std::shared_ptr<EndNote> &note);
    // Reports `use_of_destroyed_communicator`.
    Outcome of(const AscendCall &call, HcclComm handle, std::shared_ptr<EndNote> *note);
    void remove(HcclComm handle);

private:
    std::mutex mutex_;
    std::map<HcclComm, std::shared_ptr<EndNote>> notes_;
};

// While it lives a thread is inside a call that has to be the only one of its kind on a device.
class EMULATED_API Alone {
public:
    enum class Kind { creation, operation };

    // Reports `concurrent_creation` or `concurrent_operators` if another thread is inside.
    Alone(const AscendCall &call, int device, Kind kind);
    ~Alone();
    Alone(const Alone &) = delete;
    Alone &operator=(const Alone &) = delete;

private:
    std::atomic<int> &inside_;
};

} // namespace emulated
