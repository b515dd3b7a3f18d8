#include "control.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "machine.h"
#include "orders.h"
#include "violations.h"

namespace {

size_t copy(const std::string &text, char *buffer, size_t room) {
    if (buffer != nullptr && room > 0) {
        const size_t count = std::min(text.size(), room - 1);
        std::memcpy(buffer, text.data(), count);
        buffer[count] = 0;
    }
    return text.size();
}

} // namespace

extern "C" {

int eplb_emulator_order(const char *orders, char *error, size_t room) {
    const std::string failure =
        orders == nullptr ? "there is no order" : emulated::Orders::all().give(orders);
    copy(failure, error, room);
    return failure.empty() ? 0 : 1;
}

void eplb_emulator_clear_orders(void) { emulated::Orders::all().clear(); }

size_t eplb_emulator_violation_count(void) { return emulated::Violations::all().count(); }

size_t eplb_emulator_violations(char *buffer, size_t room) {
    return copy(emulated::Violations::all().text(), buffer, room);
}

void eplb_emulator_clear_violations(void) { emulated::Violations::all().clear(); }

size_t eplb_emulator_live(char *buffer, size_t room) {
    return copy(emulated::Machine::here().live(), buffer, room);
}

size_t eplb_emulator_calls(char *buffer, size_t room) {
    return copy(emulated::Orders::all().calls(), buffer, room);
}

} // extern "C"
