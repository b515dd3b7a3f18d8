// Callbacks that fail, that call back, and that are missing.
#include "case.hpp"
#include "group.hpp"

#include <atomic>

namespace {

using misuse::Group;

// Serves steps whose load is uneven until layers were changed.
void serve(Group &group, eplb::Coordinator &coordinator, std::uint64_t steps = 12) {
    for (std::uint64_t step = 0; step < steps; ++step) {
        group.step(coordinator, step, {100, 100, 900, 900});
    }
}

} // namespace

CASE("a visit of counters that fails") {
    Group group;
    const eplb::Coordinator coordinator(group.config, group.placement);
    int visited = 0;
    const auto stop = [](void *user, const char *, std::uint64_t) -> std::int32_t {
        return ++*static_cast<int *>(user) == 3 ? -5 : 0;
    };
    EXPECT(EPLB_ERROR_CALLBACK, eplb_coordinator_counters(coordinator.get(), stop, &visited));
    misuse::require(visited == 3, "the visit went on");
    EXPECT(EPLB_ERROR_NULL, eplb_coordinator_counters(coordinator.get(), nullptr, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_coordinator_take_notes(group.sessions.empty() ? coordinator.get() : nullptr,
                                                        nullptr, nullptr));
}

CASE("a visit of figures that fails") {
    Group group;
    group.connect();
    const auto stop = [](void *, const char *, std::uint64_t) -> std::int32_t { return 1; };
    EXPECT(EPLB_ERROR_CALLBACK, eplb_session_figures(group.sessions[0].get(), stop, nullptr));
    EXPECT(EPLB_ERROR_NULL, eplb_session_figures(group.sessions[0].get(), nullptr, nullptr));
}

CASE("a visit of notes that fails loses none") {
    Group group;
    group.connect();
    eplb::Coordinator coordinator(group.config, group.placement);
    serve(group, coordinator);
    misuse::require(group.wrong_slots() == 0, "bytes are wrong");
    struct Visit {
        int left;
        std::vector<std::int32_t> kinds;
    } visit{2, {}};
    const auto take = [](void *user, const eplb_note *note) -> std::int32_t {
        auto *visit = static_cast<Visit *>(user);
        if (visit->left-- == 0) {
            return 1;
        }
        misuse::require(note->struct_size == sizeof *note && *note->text != '\0', "an empty note");
        visit->kinds.push_back(note->kind);
        return 0;
    };
    EXPECT(EPLB_ERROR_CALLBACK, eplb_coordinator_take_notes(coordinator.get(), take, &visit));
    misuse::require(visit.kinds.size() == 2, "two were taken");
    visit.left = 1000;
    EXPECT(EPLB_OK, eplb_coordinator_take_notes(coordinator.get(), take, &visit));
    misuse::require(visit.kinds.size() > 4, "the rest was there");
    misuse::require(visit.kinds[0] == EPLB_NOTE_ROUND_STARTED, "the first came first");
    misuse::require(visit.kinds[2] != EPLB_NOTE_ROUND_STARTED, "the refused one came again, once");
}

CASE("a callback that calls the handle whose call it is in") {
    Group group;
    group.connect();
    eplb::Coordinator coordinator(group.config, group.placement);
    serve(group, coordinator);
    struct Visit {
        eplb_coordinator *coordinator;
        int busy;
    } visit{coordinator.get(), 0};
    const auto call_back = [](void *user, const eplb_note *) -> std::int32_t {
        auto *visit = static_cast<Visit *>(user);
        eplb_bytes header{};
        visit->busy +=
            eplb_coordinator_begin_step(visit->coordinator, 99, 1, &header) == EPLB_ERROR_BUSY &&
            eplb_coordinator_free(visit->coordinator) == EPLB_ERROR_BUSY;
        return 0;
    };
    EXPECT(EPLB_OK, eplb_coordinator_take_notes(coordinator.get(), call_back, &visit));
    misuse::require(visit.busy > 0, "the coordinator was not busy");
}

CASE("exceptions in visits of C++ come out behind the call") {
    Group group;
    group.connect();
    eplb::Coordinator coordinator(group.config, group.placement);
    serve(group, coordinator);
    bool thrown = false;
    try {
        coordinator.take_notes([](const eplb_note &) { throw std::runtime_error("mine"); });
    } catch (const std::runtime_error &error) {
        thrown = std::string(error.what()) == "mine";
    }
    misuse::require(thrown, "the exception was lost");
    misuse::require(coordinator.counters().at("layers_committed") > 0, "nothing was committed");
}

CASE("errors of C++ carry the number and the line") {
    bool thrown = false;
    try {
        const eplb::Config config("ep_size = 0", "here");
    } catch (const eplb::Error &error) {
        thrown = error.code() == EPLB_ERROR_CONFIG && !error.refuses_step() &&
                 std::string(error.name()) == "EPLB_ERROR_CONFIG" &&
                 std::string(error.what()).find("here") != std::string::npos;
    }
    misuse::require(thrown, "no error, or another one");
}

CASE("a clock of the engine is asked until its handles are freed") {
    Group group;
    std::atomic<std::uint64_t> asked{0};
    const auto now = [](void *user) -> std::uint64_t {
        return 1'000'000 * static_cast<std::atomic<std::uint64_t> *>(user)->fetch_add(1);
    };
    auto options = eplb::sized<eplb_coordinator_options>();
    options.clock = now;
    options.user = &asked;
    {
        group.connect();
        eplb::Coordinator coordinator(group.config, group.placement, &options);
        serve(group, coordinator, 2);
    }
    const auto before = asked.load();
    misuse::require(before > 0, "the clock was not asked");
    misuse::require(asked.load() == before, "the clock was asked afterwards");
}

CASE("a log of a level that is none") {
    const auto log = [](void *, std::int32_t, const char *, const char *) {};
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_log_set(0, log, nullptr));
    EXPECT(EPLB_ERROR_ARGUMENT, eplb_log_set(6, log, nullptr));
    EXPECT(EPLB_OK, eplb_log_set(-3, nullptr, nullptr));
}

CASE("a log that changes the log, calls the library and throws in C++") {
    Group group;
    group.connect();
    std::atomic<int> lines{0};
    std::atomic<int> busy{0};
    {
        const eplb::Log log(EPLB_LOG_TRACE, [&](std::int32_t level, const char *target, const char *text) {
            misuse::require(level >= EPLB_LOG_ERROR && level <= EPLB_LOG_TRACE, "no level");
            misuse::require(*target != '\0' && *text != '\0', "no text");
            busy += eplb_log_set(0, nullptr, nullptr) == EPLB_ERROR_BUSY;
            const eplb::Config config; // what it logs is dropped
            ++lines;
            throw std::runtime_error("dropped");
        });
        eplb::Coordinator coordinator(group.config, group.placement);
        serve(group, coordinator);
        misuse::require(lines > 0 && busy == lines, "no event came, or the log was changed");
    }
    const int before = lines;
    eplb::Coordinator coordinator(group.config, group.placement);
    coordinator.begin_step(0);
    misuse::require(lines == before, "the log went on");
}
