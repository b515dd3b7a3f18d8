// Backends of the engine's own: functions that are missing, that fail, and that answer what can't be.
#include "case.hpp"
#include "engine_device.hpp"
#include "group.hpp"

namespace {

using misuse::EngineDevices;
using misuse::Group;
using misuse::LIMIT_MS;

// Opens device 0 of an engine's backend and frees it; gives what opening said.
eplb_status open(const eplb_device_functions &functions) {
    eplb_device *device = nullptr;
    const auto status = eplb_device_open(eplb::Backend(functions).get(), 0, &device);
    eplb_device_free(device);
    return status;
}

// All that was given out is back, and the functions were released once.
void expect_given_back(const EngineDevices &devices) {
    misuse::require(devices.live() == 0, std::to_string(devices.live()) + " things were not given back");
    misuse::require(devices.released() == 1, "released " + std::to_string(devices.released()) + " times");
}

// What a device says of its failure has to arrive: the number, the vendor's number and the words.
void expect_told(eplb_status status, eplb_status wanted) {
    const std::string said = eplb_last_error();
    misuse::require(status == wanted, std::string(eplb_status_name(status)) + ": " + said);
    misuse::require(said.find("told to") != std::string::npos, said);
    misuse::require(eplb_last_vendor_code() == -77, std::to_string(eplb_last_vendor_code()));
}

const struct {
    std::int32_t kind;
    eplb_status status;
} KINDS[] = {{EPLB_FAILURE_LOST, EPLB_ERROR_DEVICE_LOST},
             {EPLB_FAILURE_OUT_OF_MEMORY, EPLB_ERROR_OUT_OF_MEMORY},
             {EPLB_FAILURE_UNSUPPORTED, EPLB_ERROR_UNSUPPORTED},
             {EPLB_FAILURE_INVALID_USE, EPLB_ERROR_INVALID_USE},
             {EPLB_FAILURE_ABORTED, EPLB_ERROR_ABORTED},
             {EPLB_FAILURE_TIMED_OUT, EPLB_ERROR_TIMED_OUT},
             {EPLB_FAILURE_FAILED, EPLB_ERROR_DEVICE_FAILED},
             {12345, EPLB_ERROR_DEVICE_FAILED},
             {-1, EPLB_ERROR_DEVICE_FAILED}};

} // namespace

CASE("sizes of eplb_device_functions, and a name that is none") {
    EngineDevices devices;
    auto functions = devices.functions();
    eplb_backend *made = nullptr;
    EXPECT(EPLB_ERROR_NULL, eplb_backend_create(nullptr, &made));
    EXPECT(EPLB_ERROR_NULL, eplb_backend_create(&functions, nullptr));
    functions.struct_size = offsetof(eplb_device_functions, export_memory) - 1;
    EXPECT(EPLB_ERROR_STRUCT_SIZE, eplb_backend_create(&functions, &made));
    functions.struct_size = 0;
    EXPECT(EPLB_ERROR_STRUCT_SIZE, eplb_backend_create(&functions, &made));
    functions.struct_size = sizeof functions;
    functions.name = nullptr;
    EXPECT(EPLB_ERROR_NULL, eplb_backend_create(&functions, &made));
    functions.name = "\xff";
    EXPECT(EPLB_ERROR_TEXT, eplb_backend_create(&functions, &made));
    misuse::require(devices.released() == 0, "what was refused was released");
}

CASE("functions that are needed and missing") {
    EngineDevices devices;
    const auto whole = devices.functions();
    // The functions lie one after the other from `count` on; these three may be missing.
    const std::size_t first = offsetof(eplb_device_functions, count);
    const std::size_t end = offsetof(eplb_device_functions, export_memory);
    int refused = 0;
    for (std::size_t offset = first; offset < end; offset += sizeof(void *)) {
        if (offset == offsetof(eplb_device_functions, adopt) ||
            offset == offsetof(eplb_device_functions, abort_stream)) {
            continue;
        }
        auto functions = whole;
        std::memset(reinterpret_cast<char *>(&functions) + offset, 0, sizeof(void *));
        eplb_backend *made = nullptr;
        EXPECT(EPLB_ERROR_NULL, eplb_backend_create(&functions, &made));
        ++refused;
    }
    misuse::require(refused == 19, std::to_string(refused) + " functions are needed");
}

CASE("some of the functions of peer memory") {
    EngineDevices devices;
    auto functions = devices.functions();
    functions.withdraw = nullptr;
    eplb_backend *made = nullptr;
    EXPECT(EPLB_ERROR_NULL, eplb_backend_create(&functions, &made));
}

CASE("a backend without peer memory, as an older header has it, opens and moves nothing") {
    EngineDevices devices;
    {
        auto functions = devices.functions();
        functions.struct_size = offsetof(eplb_device_functions, export_memory);
        Group group{eplb::Backend(functions)};
        eplb_session *made = nullptr;
        const auto options = group.options(0);
        EXPECT(EPLB_ERROR_UNSUPPORTED, eplb_session_open(&options, &made));
    }
    expect_given_back(devices);
}

CASE("functions that open a device and fail, give none, or describe what can't be") {
    EngineDevices devices;
    const auto functions = devices.functions();
    for (const auto &each : KINDS) {
        devices.fail("open", each.kind);
        expect_told(open(functions), each.status);
        devices.fail("describe", each.kind);
        expect_told(open(functions), each.status);
    }
    devices.gives_device = false;
    misuse::require(open(functions) == EPLB_ERROR_DEVICE_FAILED, eplb_last_error());
    devices.gives_device = true;
    for (const std::size_t alignment : {0, 1, 32, 96}) {
        devices.alignment = alignment;
        misuse::require(open(functions) == EPLB_ERROR_DEVICE_FAILED, eplb_last_error());
    }
    misuse::require(devices.live() == 0, "a device was not closed");
}

CASE("functions that fail, each in every way") {
    EngineDevices devices;
    {
        const eplb::Backend backend(devices.functions());
        const eplb::Device device(backend, 1);
        const eplb::Stream stream(device);
        const eplb::Memory memory(device, 64);
        unsigned char bytes[64] = {};
        for (const auto &each : KINDS) {
            const auto told = [&](const char *function, const std::function<eplb_status()> &call) {
                devices.fail(function, each.kind);
                expect_told(call(), each.status);
            };
            std::uint32_t count = 0;
            std::uint64_t free = 0;
            std::uint64_t total = 0;
            eplb_stream *made = nullptr;
            eplb_memory *allocated = nullptr;
            told("count", [&] { return eplb_backend_devices(backend.get(), &count); });
            told("memory_info", [&] { return eplb_device_memory(device.get(), &free, &total); });
            told("create_stream", [&] { return eplb_stream_create(device.get(), 0, &made); });
            told("allocate", [&] { return eplb_memory_allocate(device.get(), 64, &allocated); });
            told("allocate_pinned",
                 [&] { return eplb_memory_read(memory.get(), stream.get(), 0, bytes, 64, LIMIT_MS); });
            told("copy",
                 [&] { return eplb_memory_write(memory.get(), stream.get(), 0, bytes, 64, LIMIT_MS); });
            told("query_stream", [&] { return eplb_stream_wait(stream.get(), LIMIT_MS); });
        }
        EXPECT(EPLB_OK, eplb_memory_write(memory.get(), stream.get(), 0, bytes, 64, LIMIT_MS));
        device.drain(misuse::LIMIT);
    }
    expect_given_back(devices);
}

CASE("a function that may be missing is not supported") {
    EngineDevices devices;
    const eplb::Backend backend(devices.functions());
    eplb_device *made = nullptr;
    int context = 0;
    EXPECT(EPLB_ERROR_UNSUPPORTED, eplb_device_adopt(backend.get(), 0, &context, &made));
    const eplb::Device device(backend, 0);
    eplb_bytes id{};
    EXPECT(EPLB_ERROR_UNSUPPORTED, eplb_communicator_id(device.get(), &id));
    eplb_communicator *communicator = nullptr;
    EXPECT(EPLB_ERROR_UNSUPPORTED, eplb_communicator_borrow(device.get(), &context, 0, 1, &communicator));
}

CASE("queries that answer what can't be, that work failed, or nothing in time") {
    EngineDevices devices;
    const eplb::Backend backend(devices.functions());
    const eplb::Device device(backend, 0);
    const eplb::Stream stream(device);
    devices.progress = 7;
    EXPECT(EPLB_ERROR_DEVICE_FAILED, eplb_stream_wait(stream.get(), LIMIT_MS));
    devices.progress = EPLB_PROGRESS_PENDING;
    EXPECT(EPLB_ERROR_TIMED_OUT, eplb_stream_wait(stream.get(), 20));
    devices.progress = EPLB_PROGRESS_COMPLETE;
    EXPECT(EPLB_OK, eplb_stream_wait(stream.get(), LIMIT_MS));
    const eplb::Stream failing(device);
    devices.progress = EPLB_PROGRESS_FAILED;
    EXPECT(EPLB_ERROR_DEVICE_LOST, eplb_stream_wait(failing.get(), LIMIT_MS));
    devices.progress = EPLB_PROGRESS_COMPLETE;
}

CASE("the whole cycle on a backend of the engine") {
    EngineDevices devices;
    {
        Group group{eplb::Backend(devices.functions())};
        misuse::require(group.backend.name() == "abacus", group.backend.name());
        misuse::require(std::string(group.devices[1].describe().name) == "wooden", "another device");
        group.connect();
        eplb::Coordinator coordinator(group.config, group.placement);
        for (std::uint64_t step = 0; step < 16; ++step) {
            group.step(coordinator, step, {100, 100, 900, 900});
        }
        misuse::require(coordinator.counters().at("layers_committed") > 0, "nothing was committed");
        misuse::require(group.wrong_slots() == 0, "bytes are wrong");
    }
    expect_given_back(devices);
}

CASE("a copy that fails in the middle of a change leaves the old epoch") {
    EngineDevices devices;
    {
        Group group{eplb::Backend(devices.functions())};
        group.connect();
        eplb::Coordinator coordinator(group.config, group.placement);
        std::uint64_t step = 0;
        while (coordinator.counters().at("layers_refused") == 0 && step < 40) {
            devices.fail("copy", EPLB_FAILURE_FAILED);
            group.step(coordinator, step++, {100, 100, 900, 900});
        }
        misuse::require(coordinator.counters().at("layers_refused") > 0, "no change was refused");
        misuse::require(group.sessions[0].epochs(Group::LAYERS) ==
                            group.sessions[1].epochs(Group::LAYERS),
                        "epochs differ");
        devices.fail("copy", EPLB_FAILURE_NONE);
        misuse::require(group.wrong_slots() == 0, "bytes are wrong");
    }
    expect_given_back(devices);
}
