// Keeps the emulated libraries of two vendors apart when both are in one process.
//
// The core is compiled once per vendor. `EPLB_EMULATED_VENDOR` (a name such as `cuda`) is set by the
// build, and `emulated` is replaced by `emulated_cuda`: all symbols of the core then bear the vendor's
// name, so that the loader never binds one vendor's library to the other's core, even where one of
// them was opened for all to see.
#pragma once

#ifndef EPLB_EMULATED_VENDOR
#error "EPLB_EMULATED_VENDOR is not set"
#endif

#define EPLB_EMULATED_JOIN_(left, right) left##right
#define EPLB_EMULATED_JOIN(left, right) EPLB_EMULATED_JOIN_(left, right)
#define EPLB_EMULATED_TEXT_(text) #text
#define EPLB_EMULATED_TEXT(text) EPLB_EMULATED_TEXT_(text)

#define emulated EPLB_EMULATED_JOIN(emulated_, EPLB_EMULATED_VENDOR)

// Everything is hidden by default; this is what the facades take from the core, or the world from us.
#define EMULATED_API __attribute__((visibility("default")))
