// What there is in this process: devices, handles, counts.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "context.h"
#include "device.h"
#include "event.h"
#include "registry.h"
#include "stream.h"

namespace emulated {

class Communicator;

// One per process and vendor; never destroyed, since threads of streams outlive `main`.
class EMULATED_API Machine {
public:
    static Machine &here();

    // EPLB_EMULATOR_DEVICES, or 4.
    int devices() const { return static_cast<int>(devices_.size()); }
    // Null if there is none with this number.
    std::shared_ptr<Device> device(int ordinal) const;

    Registry<Context> contexts{0};
    Registry<Stream> streams{1};
    Registry<Event> events{2};
    Registry<Communicator> communicators{3};

    // One `name count` per line: allocations, bytes, pinned, registered, streams, events, exports,
    // imports, communicators.
    std::string live();

private:
    Machine();

    std::vector<std::shared_ptr<Device>> devices_;
};

// A number from the environment. Reports `environment_not_understood` and gives `otherwise` if it is
// not one.
EMULATED_API std::uint64_t setting(const char *variable, std::uint64_t otherwise);

} // namespace emulated
