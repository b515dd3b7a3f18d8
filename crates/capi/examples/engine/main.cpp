// An engine that embeds the library: ranks on threads serve a small MoE model, the master balances them, and
// every output is compared with that of a model on one device.
//
// engine [BACKEND] [RANKS]: host (the default), cuda or ascend, with 4 ranks unless told otherwise.
#include "rank.hpp"
#include "worker.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>

namespace {

constexpr std::uint64_t STEPS = 160;

// The states of all tokens after a step, computed where all experts are.
std::vector<model::State> reference(std::uint64_t step, bool second_half) {
    std::vector<model::State> states;
    for (std::uint32_t token = 0; token < model::TOKENS; ++token) {
        auto state = model::first_state(step, token);
        for (std::uint32_t layer = 0; layer < model::LAYERS; ++layer) {
            std::vector<model::State> outputs;
            for (const auto expert : model::route(layer, step, token, second_half)) {
                const auto matrix = model::matrix(layer, expert);
                outputs.push_back(model::apply(matrix.data(), model::scale(layer, expert), state));
            }
            state = model::combined(state, outputs);
        }
        states.push_back(std::move(state));
    }
    return states;
}

// The master process, with the threads of its ranks.
class Engine {
  public:
    Engine(const std::string &backend, std::uint32_t ranks)
        : setup_(backend, ranks), workers_(ranks), ranks_(ranks),
          coordinator_(setup_.config, setup_.placement) {
        on_ranks([&](std::uint32_t rank) {
            ranks_[rank] = std::make_unique<Rank>(setup_, rank);
            return 0;
        });
        const auto endpoints = on_ranks([&](std::uint32_t rank) { return ranks_[rank]->endpoint(); });
        on_ranks([&](std::uint32_t rank) {
            ranks_[rank]->connect(endpoints);
            return 0;
        });
    }

    ~Engine() {
        for (const bool is_last : {false, true}) {
            for (std::uint32_t rank = 0; rank < ranks_.size(); ++rank) {
                auto done = workers_[rank].run([this, rank, is_last] {
                    is_last ? ranks_[rank].reset() : ranks_[rank]->let_go();
                });
                try {
                    done.get();
                } catch (const std::exception &error) {
                    std::fprintf(stderr, "rank %u: %s\n", rank, error.what());
                }
            }
        }
    }

    // Serves a step, and again with the next number if a rank must not run it.
    std::vector<model::State> serve(bool second_half) {
        for (;;) {
            const std::uint64_t step = step_++;
            const auto header = coordinator_.begin_step(step).copy();
            const auto began = on_ranks([&](std::uint32_t rank) { return ranks_[rank]->begin_step(header); });
            const bool runs = std::all_of(began.begin(), began.end(), [](bool ran) { return ran; });
            auto states = runs ? forward(step, second_half) : std::vector<model::State>();
            const auto reports =
                on_ranks([&](std::uint32_t rank) { return ranks_[rank]->end_step(step, runs); });
            for (std::uint32_t rank = 0; rank < reports.size(); ++rank) {
                coordinator_.accept_report(rank, reports[rank]);
            }
            if (runs) {
                served_ = step;
                return states;
            }
        }
    }

    std::uint64_t served() const { return served_; }
    std::uint64_t committed() const { return coordinator_.counters().at("layers_committed"); }

    // Mean tokens of a rank by those of the busiest one, since the last call.
    double take_balancedness() {
        double sum = 0;
        double most = 0;
        for (const auto tokens : on_ranks([&](std::uint32_t rank) { return ranks_[rank]->take_computed(); })) {
            sum += static_cast<double>(tokens);
            most = std::max(most, static_cast<double>(tokens));
        }
        return sum / (most * static_cast<double>(ranks_.size()));
    }

  private:
    // Runs `work(rank)` on all ranks at once, each on its own thread; what they give, by rank.
    template <typename Work>
    auto on_ranks(Work work) -> std::vector<decltype(work(std::uint32_t{}))> {
        std::vector<std::future<decltype(work(std::uint32_t{}))>> futures;
        for (std::uint32_t rank = 0; rank < workers_.size(); ++rank) {
            futures.push_back(workers_[rank].run([work, rank] { return work(rank); }));
        }
        for (auto &future : futures) {
            future.wait();
        }
        std::vector<decltype(work(std::uint32_t{}))> results;
        for (auto &future : futures) {
            results.push_back(future.get());
        }
        return results;
    }

    std::vector<model::State> forward(std::uint64_t step, bool second_half) {
        std::vector<model::State> states;
        for (std::uint32_t token = 0; token < model::TOKENS; ++token) {
            states.push_back(model::first_state(step, token));
        }
        for (std::uint32_t layer = 0; layer < model::LAYERS; ++layer) {
            const auto parts = on_ranks([&](std::uint32_t rank) {
                return ranks_[rank]->forward(layer, step, second_half, states);
            });
            std::vector<std::vector<model::State>> outputs(model::TOKENS,
                                                           std::vector<model::State>(model::TOP_K));
            for (const auto &part : parts) {
                for (const auto &output : part) {
                    outputs[output.token][output.choice] = output.state;
                }
            }
            for (std::uint32_t token = 0; token < model::TOKENS; ++token) {
                for (const auto &output : outputs[token]) {
                    if (output.empty()) {
                        throw std::runtime_error("no rank computed a token");
                    }
                }
                states[token] = model::combined(states[token], outputs[token]);
            }
        }
        return states;
    }

    Setup setup_;
    std::deque<Worker> workers_;
    std::vector<std::unique_ptr<Rank>> ranks_;
    eplb::Coordinator coordinator_;
    std::uint64_t step_ = 0;
    std::uint64_t served_ = 0;
};

int run(const std::string &backend, std::uint32_t ranks) {
    Engine engine(backend, ranks);
    for (const bool second_half : {false, true}) {
        for (std::uint64_t index = 0; index < STEPS / 2; ++index) {
            const auto states = engine.serve(second_half);
            if (states != reference(engine.served(), second_half)) {
                throw std::runtime_error("a step's output is not that of the model on one device");
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1)); // the rest of a step's time
            if (index == 7 || index + 1 == STEPS / 2) {
                std::printf("%s experts hot, step %u: balancedness %.3f\n", second_half ? "other" : "some",
                            static_cast<unsigned>(index + 1), engine.take_balancedness());
            } else if (index == STEPS / 2 - 9) {
                engine.take_balancedness(); // the last eight steps count for themselves
            }
        }
    }
    const auto committed = engine.committed();
    std::printf("%s: %u ranks, %d layers committed, all outputs as on one device\n", backend.c_str(), ranks,
                static_cast<int>(committed));
    return committed >= model::LAYERS ? 0 : 1;
}

} // namespace

int main(int count, char **arguments) {
    try {
        return run(count > 1 ? arguments[1] : "host",
                   count > 2 ? static_cast<std::uint32_t>(std::atoi(arguments[2])) : 4);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "engine: %s\n", error.what());
        return 1;
    }
}
