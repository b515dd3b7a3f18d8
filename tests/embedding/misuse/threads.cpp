// Threads at once: on different handles all goes well, on one handle each call is done or busy.
#include "case.hpp"
#include "group.hpp"

#include <atomic>
#include <mutex>
#include <thread>

namespace {

using misuse::Group;

constexpr int THREADS = 4;

// Runs a function on four threads at once; the first failure of any is thrown on.
void on_threads(const std::function<void(int)> &run) {
    std::atomic<int> ready{0};
    std::mutex mutex;
    std::string failure;
    std::vector<std::thread> threads;
    for (int index = 0; index < THREADS; ++index) {
        threads.emplace_back([&, index] {
            ++ready;
            while (ready < THREADS) {
                std::this_thread::yield();
            }
            try {
                run(index);
            } catch (const misuse::Failure &found) {
                const std::lock_guard<std::mutex> lock(mutex);
                failure = found.text;
            } catch (const std::exception &found) {
                const std::lock_guard<std::mutex> lock(mutex);
                failure = found.what();
            }
        });
    }
    for (auto &thread : threads) {
        thread.join();
    }
    misuse::require(failure.empty(), failure);
}

void serve_whole_cycle() {
    Group group;
    group.connect();
    eplb::Coordinator coordinator(group.config, group.placement);
    for (std::uint64_t step = 0; step < 16; ++step) {
        group.step(coordinator, step, {100, 100, 900, 900});
    }
    misuse::require(coordinator.counters().at("layers_committed") > 0, "nothing was committed");
    misuse::require(group.wrong_slots() == 0, "bytes are wrong");
}

} // namespace

CASE("four threads serve at once, each on its own handles") {
    on_threads([](int) { serve_whole_cycle(); });
}

CASE("four threads change one configuration: each call is done or busy") {
    eplb::Config config;
    std::atomic<int> done{0};
    on_threads([&](int index) {
        for (int turn = 0; turn < 500; ++turn) {
            const auto status =
                eplb_config_set_integer(config.get(), "manager.update_interval_steps", index + 1);
            misuse::require(status == EPLB_OK || status == EPLB_ERROR_BUSY, eplb_last_error());
            done += status == EPLB_OK;
        }
    });
    misuse::require(done > 0, "no call was done");
    config.check_values();
}

CASE("four threads read one placement: none is busy") {
    Group group;
    on_threads([&](int) {
        for (int turn = 0; turn < 500; ++turn) {
            std::uint32_t experts[6];
            const auto status = eplb_placement_layer(group.placement.get(), 0, experts, 6, nullptr);
            misuse::require(status == EPLB_OK, eplb_last_error());
        }
    });
}

CASE("threads race with reads and steps on one session") {
    Group group;
    group.connect();
    eplb::Coordinator coordinator(group.config, group.placement);
    const auto header = coordinator.begin_step(0).copy();
    auto *session = group.sessions[0].get();
    on_threads([&](int index) {
        for (int turn = 0; turn < 300; ++turn) {
            std::uint64_t epochs[Group::LAYERS];
            const auto status = index == 0
                                    ? eplb_session_begin_step(session, header.data(), header.size())
                                    : eplb_session_epochs(session, epochs, Group::LAYERS);
            misuse::require(status == EPLB_OK || status == EPLB_ERROR_BUSY, eplb_last_error());
        }
    });
}

CASE("four threads free one handle: one does, the others are told") {
    for (int turn = 0; turn < 50; ++turn) {
        eplb_weights *weights = nullptr;
        EXPECT(EPLB_OK, eplb_weights_create(&weights));
        std::atomic<int> freed{0};
        on_threads([&](int) {
            const auto status = eplb_weights_free(weights);
            misuse::require(status == EPLB_OK || status == EPLB_ERROR_BUSY || status == EPLB_ERROR_FREED,
                            eplb_last_error());
            freed += status == EPLB_OK;
        });
        misuse::require(freed == 1, std::to_string(freed.load()) + " threads freed it");
    }
}

CASE("a handle is freed while others use it") {
    for (int turn = 0; turn < 50; ++turn) {
        eplb_config *config = nullptr;
        EXPECT(EPLB_OK, eplb_config_create(&config));
        std::atomic<bool> freed{false};
        on_threads([&](int index) {
            while (!freed) {
                const auto status = index == 0 ? eplb_config_free(config) : eplb_config_check(config);
                if (index == 0 && status == EPLB_OK) {
                    freed = true;
                }
                misuse::require(status == EPLB_OK || status == EPLB_ERROR_BUSY ||
                                    status == EPLB_ERROR_FREED,
                                eplb_last_error());
                if (index != 0) {
                    // Whoever frees needs a moment in which nobody reads.
                    std::this_thread::sleep_for(std::chrono::microseconds(50));
                }
            }
            misuse::require(eplb_config_check(config) == EPLB_ERROR_FREED, "a freed handle was used");
        });
    }
}

CASE("the log changes while threads serve") {
    std::atomic<int> lines{0};
    std::atomic<bool> over{false};
    std::thread changing([&] {
        while (!over) {
            const eplb::Log log(EPLB_LOG_DEBUG,
                                [&](std::int32_t, const char *, const char *) { ++lines; });
            std::this_thread::yield();
        }
    });
    on_threads([](int) { serve_whole_cycle(); });
    over = true;
    changing.join();
}
