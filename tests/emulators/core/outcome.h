// How a call or a task ended, in no vendor's terms.
#pragma once

#include <string>
#include <utility>

#include "vendor.h"

namespace emulated {

// What went wrong. A facade translates these into its vendor's codes, in one place.
enum class Fault {
    none,
    // An argument is null, out of range or contradicts another.
    invalid_argument,
    // No such device.
    invalid_device,
    // The calling thread has no context.
    no_context,
    // A handle is null, not ours, or of something destroyed.
    invalid_handle,
    // A handle is of another context or device than the call allows.
    wrong_context,
    // An address is in no live memory of the kind that the call needs, or the range leaves it.
    invalid_address,
    misaligned,
    // Memory of the device is used up.
    out_of_memory,
    out_of_streams,
    out_of_events,
    already_registered,
    not_registered,
    // An API was called where it may not be, or a process is not allowed to.
    not_permitted,
    // An order refuses it, or this vendor has not got it.
    unsupported,
    peer_access_missing,
    // An exported memory is gone, or its exporter is.
    not_exported,
    // Two ranks of a communicator are on one device.
    duplicate_device,
    // Ranks do not do the same: sizes, types, operations, settings.
    mismatch,
    // A rank's process or its end of the communicator is gone.
    peer_lost,
    aborted,
    timed_out,
    // Something of it still runs.
    in_use,
    // The context or device runs nothing any more.
    lost,
    // The operating system refused.
    system,
    // An order asked for the vendor's code in `code`.
    ordered,
};

struct Outcome {
    Fault fault = Fault::none;
    // The vendor's code, for `ordered` and for `lost` by an order; else 0.
    int code = 0;
    // A sentence; empty if nothing is to be said.
    std::string text;

    bool ok() const { return fault == Fault::none; }
    static Outcome success() { return {}; }
    static Outcome failed(Fault fault, std::string text) { return {fault, 0, std::move(text)}; }
    static Outcome by_order(int code) { return {Fault::ordered, code, "failed by an order"}; }
};

} // namespace emulated
