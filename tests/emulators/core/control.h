// What the library that holds the core exports to tests, with C linkage.
#pragma once

#include <stddef.h>

#include "vendor.h"

extern "C" {

// Takes orders; on failure gives 1 and a sentence in `error`, cut to `room` bytes with the zero.
EMULATED_API int eplb_emulator_order(const char *orders, char *error, size_t room);
// Takes all orders back that were given.
EMULATED_API void eplb_emulator_clear_orders(void);
// How many violations there are.
EMULATED_API size_t eplb_emulator_violation_count(void);
// Violations, one `rule<TAB>sentence` per line, cut to `room` bytes with the zero; gives the bytes that
// all of them take, without the zero.
EMULATED_API size_t eplb_emulator_violations(char *buffer, size_t room);
EMULATED_API void eplb_emulator_clear_violations(void);
// What is alive, one `name count` per line; as above.
EMULATED_API size_t eplb_emulator_live(char *buffer, size_t room);
// How often each function was called, and failed by an order, one `function made failed` per line; as above.
EMULATED_API size_t eplb_emulator_calls(char *buffer, size_t room);

} // extern "C"
