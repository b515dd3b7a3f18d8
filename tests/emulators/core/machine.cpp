#include "machine.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

#include "communicator.h"
#include "exports.h"
#include "violations.h"

namespace emulated {

namespace {
constexpr std::uint64_t DEFAULT_DEVICES = 4;
constexpr std::uint64_t MOST_DEVICES = 64;
}

std::uint64_t setting(const char *variable, std::uint64_t otherwise) {
    const char *text = std::getenv(variable);
    if (text == nullptr || *text == 0) return otherwise;
    std::uint64_t number = 0;
    const char *end = text + std::strlen(text);
    const auto read = std::from_chars(text, end, number);
    if (read.ec == std::errc() && read.ptr == end) return number;
    Violations::all().report("environment_not_understood", std::string(variable) + "=" + text + " is no number");
    return otherwise;
}

Machine &Machine::here() {
    static auto *const machine = new Machine;
    return *machine;
}

Machine::Machine() {
    std::uint64_t count = setting("EPLB_EMULATOR_DEVICES", DEFAULT_DEVICES);
    if (count > MOST_DEVICES) {
        Violations::all().report("environment_not_understood",
                                 "EPLB_EMULATOR_DEVICES is more than " + std::to_string(MOST_DEVICES));
        count = MOST_DEVICES;
    }
    for (std::uint64_t ordinal = 0; ordinal < count; ++ordinal) {
        auto device = std::make_shared<Device>(static_cast<int>(ordinal));
        if (!device->is_sound()) {
            Violations::all().report("environment_unfit", "the host has no memory or addresses for device " +
                                                              std::to_string(ordinal) + ", so there is none");
            return;
        }
        devices_.push_back(std::move(device));
    }
}

std::shared_ptr<Device> Machine::device(int ordinal) const {
    return ordinal >= 0 && ordinal < devices() ? devices_[static_cast<std::size_t>(ordinal)] : nullptr;
}

std::string Machine::live() {
    auto &memory = Memory::all();
    std::string text;
    const auto line = [&text](const char *name, std::uint64_t count) {
        text += std::string(name) + " " + std::to_string(count) + "\n";
    };
    line("allocations", memory.live(Place::device));
    line("bytes", memory.live_bytes(Place::device));
    line("pinned", memory.live(Place::pinned));
    line("registered", memory.live(Place::registered));
    line("streams", streams.live());
    line("events", events.live());
    line("exports", Exports::all().live());
    line("imports", Exports::all().imports());
    line("communicators", communicators.live());
    return text;
}

} // namespace emulated
