// Whole steps of an engine in which all goes well.
#include <set>

#include "check.h"
#include "engine.h"
#include "tests.h"

namespace xllm::test {

// A round every four steps.
EplbOptions quick_settings() {
    EplbOptions options;
    options.eplb_update_interval = 3600;
    options.library_settings =
        "[manager]\nwindow_samples = 2\nupdate_interval_steps = 4\ncommit_timeout = 20.0\n";
    return options;
}

namespace {

Setup quick(int32_t layers) {
    Setup setup;
    setup.layers = layers;
    setup.settings = quick_settings();
    return setup;
}

void all_layers_move_and_hold_the_right_bytes() {
    Engine engine(quick(3));
    const auto before = engine.manager.placement();
    CHECK_THAT(engine.is_right());
    CHECK_THAT(engine.run_until([&] { return engine.metric("layers_committed") >= 3; }));
    CHECK_THAT(engine.manager.placement() != before && engine.is_right());
    CHECK_THAT(engine.metric("samples_complete") > 0 && engine.metric("reports_rejected") == 0);
    uint64_t moved = 0;
    for (auto& rank : engine.ranks) {
        moved += rank->model.mover.figures().at("layers_committed");
    }
    CHECK_THAT(moved > 0);
    CHECK_THAT(!engine.manager.take_notes().empty());
}

void a_layer_goes_through_the_states_of_the_protocol() {
    Engine engine(quick(1));
    EplbInfo info;
    while (info.prepare_layer_id == -1) {
        info = engine.step();
        CHECK_THAT(info.update_layer_id == -1);
    }
    const EplbInfo prepare = info;
    CHECK_THAT(prepare.prepare_layer_id == 0 && prepare.prepare_token > 0);
    CHECK_THAT(prepare.expert_ids.size() == 20 && prepare.activation_token == -1);
    const auto before = engine.manager.placement();
    while (info.update_layer_id == -1) {
        info = engine.step();
        // The command is sent once.
        CHECK_THAT(info.prepare_layer_id == -1);
    }
    CHECK_THAT(info.update_layer_id == 0 && info.expert_ids.empty());
    CHECK_THAT(info.activation_token == prepare.prepare_token);
    CHECK_THAT(before != prepare.expert_ids && engine.manager.placement() == prepare.expert_ids);
    CHECK_THAT(engine.is_right());
}

void commands_come_on_steps_of_decode_alone() {
    Engine engine(quick(1));
    const auto is_empty = [](const EplbInfo& info) {
        return info.prepare_layer_id == -1 && info.prepare_token == -1 && info.expert_ids.empty() &&
               info.update_layer_id == -1 && info.activation_token == -1;
    };
    for (int step = 0; step < 40; ++step) {
        CHECK_THAT(is_empty(engine.step(Batch::PREFILL)));
    }
    CHECK_THAT(engine.metric("layers_prepared") == 0);
    CHECK_THAT(engine.run_until([&] { return engine.metric("layers_prepared") == 1; }));
    // It is ready, and waits for a step that may switch.
    const bool is_committed = engine.metric("layers_committed") > 0;
    for (int step = 0; step < 20 && !is_committed; ++step) {
        CHECK_THAT(is_empty(engine.step(Batch::PREFILL)) && engine.is_right());
    }
    CHECK_THAT(engine.run_until([&] { return engine.metric("layers_committed") > 0; }));
    CHECK_THAT(engine.is_right());
}

void one_layer_after_the_other_each_with_its_own_token() {
    Engine engine(quick(4));
    std::set<int64_t> tokens;
    int prepares = 0;
    int64_t last = 0;
    CHECK_THAT(engine.run_until([&] {
        const EplbInfo& info = engine.sent;
        if (info.prepare_layer_id != -1) {
            CHECK_THAT(info.prepare_token > last);
            last = info.prepare_token;
            tokens.insert(last);
            ++prepares;
        }
        return engine.metric("layers_committed") >= 4;
    }));
    CHECK_THAT(tokens.size() == static_cast<size_t>(prepares) && prepares >= 4);
    CHECK_THAT(engine.is_right());
}

// The case in which a manager that overwrites what waits loses layers: with schedule overlap, completions come
// as many steps late as the graph was warmed up for.
void all_58_layers_are_switched_after_30_steps_of_warm_up() {
    Setup setup = quick(58);
    setup.settings.library_settings =
        "[manager]\nwindow_samples = 2\nupdate_interval_steps = 40\ncommit_timeout = 60.0\n";
    Engine engine(setup, true);
    const auto before = engine.manager.placement();
    for (int step = 0; step < 30; ++step) {
        const EplbInfo info = engine.step(Batch::WARM_UP);
        CHECK_THAT(info.prepare_layer_id == -1 && info.update_layer_id == -1);
    }
    std::set<int32_t> updated;
    CHECK_THAT(engine.run_until(
        [&] {
            const EplbInfo& info = engine.sent;
            if (info.update_layer_id != -1) {
                updated.insert(info.update_layer_id);
            }
            return engine.metric("layers_committed") >= 58;
        },
        240));
    CHECK_THAT(updated.size() == 58);
    CHECK_THAT(engine.metric("layers_reverted") == 0 && engine.metric("commit_timeouts") == 0);
    const auto after = engine.manager.placement();
    for (int layer = 0; layer < 58; ++layer) {
        const auto first = layer * 20;
        CHECK_THAT(!std::equal(before.begin() + first, before.begin() + first + 20,
                               after.begin() + first));
    }
    CHECK_THAT(engine.is_right());
}

} // namespace

std::vector<Test> protocol_tests() {
    return {{"all_layers_move_and_hold_the_right_bytes", all_layers_move_and_hold_the_right_bytes},
            {"a_layer_goes_through_the_states_of_the_protocol",
             a_layer_goes_through_the_states_of_the_protocol},
            {"commands_come_on_steps_of_decode_alone", commands_come_on_steps_of_decode_alone},
            {"one_layer_after_the_other_each_with_its_own_token",
             one_layer_after_the_other_each_with_its_own_token},
            {"all_58_layers_are_switched_after_30_steps_of_warm_up",
             all_58_layers_are_switched_after_30_steps_of_warm_up}};
}

} // namespace xllm::test
