// The emulated engine: steps as xLLM's takes them, with its ranks as threads.
#include "engine.h"

#include <chrono>
#include <thread>

#include "check.h"

namespace xllm::test {

Engine::Engine(const Setup& setup, bool has_overlap)
    : setup(setup),
      manager(setup.layers, setup.ranks, setup.experts, setup.settings, nullptr),
      // A layer's hot experts are neighbours, so that they begin on one rank.
      tokens([](int32_t layer, int32_t expert) { return (expert + layer) % 16 < 3 ? 90 : 5; }),
      backend_("host", static_cast<uint32_t>(setup.ranks)),
      has_overlap_(has_overlap) {
    std::vector<std::vector<uint8_t>> endpoints;
    for (int32_t rank = 0; rank < setup.ranks; ++rank) {
        ranks.push_back(std::make_unique<Rank>(setup, rank, backend_));
        endpoints.push_back(ranks.back()->model.mover.open());
    }
    for (auto& rank : ranks) {
        rank->model.mover.connect(endpoints);
    }
}

// Executors end before any model's memory goes, since other ranks read it.
Engine::~Engine() = default;

EplbInfo Engine::step(Batch batch) {
    const EplbInfo info = manager.get_eplb_info(batch == Batch::DECODE);
    sent = info;
    if (on_sent) {
        on_sent(info);
    }
    if (has_overlap_) {
        pending_activation_tokens_.push_back(info.activation_token);
    }
    Output output = run_ranks(info);
    output.is_warm_up = batch == Batch::WARM_UP;
    output.activation_token = info.activation_token;
    outputs_.push_back(std::move(output));
    if (outputs_.size() > (has_overlap_ ? 1u : 0u)) {
        take(std::move(outputs_.front()));
        outputs_.pop_front();
    }
    return info;
}

Engine::Output Engine::run_ranks(const EplbInfo& info) {
    // The forward pass reads the tables from before the switch.
    Output output;
    std::atomic<int> refused{0};
    std::vector<std::thread> threads;
    for (auto& rank : ranks) {
        threads.emplace_back([&refused, &info, &rank] {
            if (rank->is_dead) {
                return;
            }
            try {
                rank->executor.start_eplb_step(info);
            } catch (const EplbStepRefused&) {
                ++refused;
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    threads.clear();
    refusals = refused;
    if (refusals == 0) {
        CHECK_THAT(routes_alike());
    }
    output.loads = counted();
    for (auto& rank : ranks) {
        threads.emplace_back([&rank] {
            if (!rank->is_dead) {
                rank->executor.finish_eplb_step();
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    for (auto& rank : ranks) {
        const int64_t token = rank->is_dead ? -1 : rank->executor.consume_ready_prepare_token();
        const bool is_lost = rank->is_silent || rank->model.faults.prepare_is_lost;
        output.tokens.push_back(is_lost ? -1 : token);
    }
    return output;
}

// What each rank counts: tokens of all ranks at its slots, as sums along the slots.
std::vector<torch::Tensor> Engine::counted() const {
    const EplbLayout layout = setup.layout();
    const auto counts = torch::zeros({setup.layers, layout.slots()}, torch::kInt64);
    auto cells = counts.accessor<int64_t, 2>();
    for (const auto& rank : ranks) {
        for (int32_t layer = 0; layer < setup.layers && !rank->is_dead; ++layer) {
            const auto& map = rank->model.log2phy[static_cast<size_t>(layer)];
            const auto slots = map.accessor<int32_t, 1>();
            for (int32_t expert = 0; expert < setup.experts; ++expert) {
                cells[layer][slots[expert]] += tokens(layer, expert);
            }
        }
    }
    std::vector<torch::Tensor> loads;
    for (int32_t rank = 0; rank < setup.ranks; ++rank) {
        const auto own = counts.narrow(1, rank * layout.device_experts_num,
                                       layout.device_experts_num);
        const Rank& counting = *ranks[static_cast<size_t>(rank)];
        const bool is_heard = !counting.is_dead && !counting.is_silent;
        loads.push_back(is_heard ? own.cumsum(1) : torch::Tensor());
    }
    return loads;
}

void Engine::take(Output output) {
    int64_t completed = output.activation_token;
    if (has_overlap_) {
        completed = -1;
        if (!output.is_warm_up) {
            completed = pending_activation_tokens_.front();
            pending_activation_tokens_.pop_front();
        }
    }
    manager.set_prepared_tokens(output.tokens);
    manager.update_expert_load(output.loads, completed);
}

bool Engine::run_until(const std::function<bool()>& holds, int seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (std::chrono::steady_clock::now() < end) {
        step();
        if (holds()) {
            return true;
        }
    }
    return false;
}

bool Engine::routes_alike() const {
    const Rank* first = nullptr;
    for (const auto& rank : ranks) {
        if (rank->is_dead) {
            continue;
        }
        first = first == nullptr ? rank.get() : first;
        for (int32_t layer = 0; layer < setup.layers; ++layer) {
            if (rank->model.mover.expert_ids(layer) != first->model.mover.expert_ids(layer)) {
                return false;
            }
        }
    }
    return true;
}

bool Engine::is_right() const {
    const auto all = manager.placement();
    const auto slots = static_cast<ptrdiff_t>(setup.layout().slots());
    for (int32_t layer = 0; layer < setup.layers; ++layer) {
        const auto first = all.begin() + layer * slots;
        const std::vector<int32_t> table(first, first + slots);
        for (const auto& rank : ranks) {
            if (!rank->is_dead && (rank->model.mover.expert_ids(layer) != table ||
                                   !rank->model.holds(layer, table))) {
                return false;
            }
        }
    }
    return true;
}

} // namespace xllm::test
