// Steps in which something goes wrong: the old tables stand, and the service goes on.
#include "check.h"
#include "engine.h"
#include "tests.h"

namespace xllm::test {

EplbOptions quick_settings();

namespace {

Setup hasty(int32_t layers) {
    Setup setup;
    setup.layers = layers;
    setup.settings = quick_settings();
    setup.settings.eplb_prepare_timeout_seconds = 1;
    setup.settings.library_settings =
        "[manager]\nwindow_samples = 2\nupdate_interval_steps = 4\ncommit_timeout = 1.0\n"
        "revert_timeout = 1.0\n";
    return setup;
}

void a_lost_answer_ends_in_the_old_tables() {
    Engine engine(hasty(2));
    const auto before = engine.manager.placement();
    engine.ranks[2]->model.faults.prepare_is_lost = true;
    EplbInfo prepare;
    CHECK_THAT(engine.run_until([&] {
        const EplbInfo& info = engine.sent;
        prepare = prepare.prepare_layer_id == -1 ? info : prepare;
        CHECK_THAT(info.update_layer_id == -1);
        return engine.metric("prepare_timeouts") >= 1;
    }));
    CHECK_THAT(engine.manager.placement() == before && engine.is_right());
    CHECK_THAT(engine.metric("rounds_aborted") >= 1);

    // The late answer is of an attempt that is over.
    const uint64_t stale = engine.metric("xllm_prepare_tokens_stale");
    const uint64_t ready = engine.metric("layers_prepared");
    engine.manager.set_prepared_tokens(std::vector<int64_t>(4, prepare.prepare_token));
    CHECK_THAT(engine.metric("xllm_prepare_tokens_stale") == stale + 4);
    CHECK_THAT(engine.metric("layers_prepared") == ready);

    engine.ranks[2]->model.faults.prepare_is_lost = false;
    CHECK_THAT(engine.run_until([&] { return engine.metric("layers_committed") >= 2; }));
    CHECK_THAT(engine.is_right());
}

void a_refusal_is_known_at_once() {
    Setup setup = hasty(1);
    setup.settings.eplb_prepare_timeout_seconds = 30;
    Engine engine(setup);
    const auto before = engine.manager.placement();
    engine.ranks[1]->model.faults.prepare_is_refused = true;
    CHECK_THAT(engine.run_until([&] { return engine.metric("layers_refused") >= 1; }, 10));
    CHECK_THAT(engine.metric("prepare_timeouts") == 0);
    CHECK_THAT(engine.manager.placement() == before && engine.is_right());
    engine.ranks[1]->model.faults.prepare_is_refused = false;
    CHECK_THAT(engine.run_until([&] { return engine.metric("layers_committed") >= 1; }));
    CHECK_THAT(engine.is_right());
}

void tokens_that_were_never_sent_change_nothing() {
    Engine engine(hasty(1));
    const std::vector<torch::Tensor> loads(4, torch::zeros({1, 5}, torch::kInt64));
    engine.step();
    engine.manager.set_prepared_tokens({7, 8, -9, 1});
    CHECK_THAT(engine.metric("xllm_prepare_tokens_stale") == 4);
    engine.manager.update_expert_load(loads, 999);
    CHECK_THAT(engine.metric("xllm_activation_tokens_unknown") == 1);
    engine.manager.set_prepared_tokens({1, 2});
    CHECK_THAT(engine.metric("xllm_answers_of_other_sizes") == 1);

    // A token of the right attempt does not end a switch that was not sent.
    EplbInfo prepare;
    engine.ranks[0]->model.faults.prepare_is_lost = true;
    while (prepare.prepare_layer_id == -1) {
        prepare = engine.step();
    }
    engine.manager.update_expert_load(loads, prepare.prepare_token);
    CHECK_THAT(engine.metric("xllm_activation_tokens_unknown") == 2);
    CHECK_THAT(engine.metric("layers_committed") == 0);
}

void loads_that_can_not_be_are_left_out() {
    Engine engine(hasty(1));
    const auto refused = [&](const torch::Tensor& load) {
        const uint64_t before = engine.metric("xllm_loads_unusable");
        engine.manager.get_eplb_info(true);
        engine.manager.update_expert_load({load, load, load, load});
        return engine.metric("xllm_loads_unusable") == before + 4;
    };
    CHECK_THAT(refused(torch::zeros({1, 4}, torch::kInt64)));
    CHECK_THAT(refused(torch::zeros({1, 5}, torch::kInt32)));
    CHECK_THAT(refused(torch::tensor({{3, 2, 4, 5, 6}}, torch::kInt64)));
    CHECK_THAT(refused(torch::tensor({{-1, 2, 4, 5, 6}}, torch::kInt64)));
    CHECK_THAT(!refused(torch::tensor({{0, 2, 4, 5, 6}}, torch::kInt64)));
    engine.manager.update_expert_load({});
    CHECK_THAT(engine.metric("xllm_loads_of_other_sizes") == 1);
    CHECK_THAT(engine.metric("samples_complete") <= 1);
}

void a_switch_that_fails_on_one_rank_is_taken_back_on_all() {
    Engine engine(hasty(1));
    const auto before = engine.manager.placement();
    engine.ranks[1]->model.faults.update_fails = true;
    // Until all are back, the rank that stayed behind runs no step.
    int refused = 0;
    CHECK_THAT(engine.run_until([&] {
        refused += engine.refusals;
        return engine.metric("layers_reverted") >= 1;
    }));
    CHECK_THAT(refused >= 1 && engine.metric("commits_failed") == 1);
    CHECK_THAT(engine.metric("xllm_switches_back_sent") == 1);
    CHECK_THAT(engine.manager.placement() == before && engine.is_right() && engine.refusals == 0);
    CHECK_THAT(engine.run_until([&] { return engine.metric("layers_committed") >= 1; }));
    CHECK_THAT(engine.manager.placement() != before && engine.is_right());
}

void a_switch_that_no_one_confirms_is_taken_back() {
    Engine engine(hasty(1));
    const auto before = engine.manager.placement();
    // The rank switches, and is not heard any more.
    engine.on_sent = [&](const EplbInfo& info) {
        engine.ranks[3]->is_silent |= info.update_layer_id != -1;
    };
    CHECK_THAT(engine.run_until([&] { return engine.metric("commit_timeouts") >= 1; }));
    CHECK_THAT(engine.run_until([&] { return engine.metric("xllm_switches_back_sent") >= 1; }));
    CHECK_THAT(engine.manager.placement() == before && engine.is_right());
    CHECK_THAT(engine.metric("layers_committed") == 0);
}

void a_silent_rank_stops_changes_and_not_steps() {
    Engine engine(hasty(2));
    const auto before = engine.manager.placement();
    CHECK_THAT(engine.run_until([&] { return engine.metric("windows_complete") >= 1; }));
    engine.ranks[3]->is_dead = true;
    const uint64_t samples = engine.metric("samples_complete");
    for (int step = 0; step < 200; ++step) {
        engine.step();
    }
    CHECK_THAT(engine.metric("samples_complete") <= samples + 1);
    CHECK_THAT(engine.metric("layers_committed") == 0);
    CHECK_THAT(engine.manager.placement() == before && engine.is_right());
}

} // namespace

std::vector<Test> failure_tests() {
    return {{"a_lost_answer_ends_in_the_old_tables", a_lost_answer_ends_in_the_old_tables},
            {"a_refusal_is_known_at_once", a_refusal_is_known_at_once},
            {"tokens_that_were_never_sent_change_nothing", tokens_that_were_never_sent_change_nothing},
            {"loads_that_can_not_be_are_left_out", loads_that_can_not_be_are_left_out},
            {"a_switch_that_fails_on_one_rank_is_taken_back_on_all",
             a_switch_that_fails_on_one_rank_is_taken_back_on_all},
            {"a_switch_that_no_one_confirms_is_taken_back", a_switch_that_no_one_confirms_is_taken_back},
            {"a_silent_rank_stops_changes_and_not_steps", a_silent_rank_stops_changes_and_not_steps}};
}

} // namespace xllm::test
