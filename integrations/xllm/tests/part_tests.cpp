// The parts by themselves: options, policies, sums, small functions.
#include <cmath>

#include "check.h"
#include "core/framework/config/eplb_config.h"
#include "core/framework/eplb/eplb_aggregator.h"
#include "core/framework/eplb/eplb_manager.h"
#include "core/framework/eplb/eplb_utils.h"
#include "tests.h"

namespace xllm::test {

namespace {

void options_are_those_of_the_flags() {
    EPLBConfig& flags = EPLBConfig::get_instance();
    flags.redundant_experts = 3;
    flags.update_interval = 77;
    flags.min_peak_load_improvement = 0.25;
    flags.prepare_timeout_seconds = 9;
    flags.policy_kind = "Greedy";
    const auto options = EplbOptions::from_global_config();
    CHECK_THAT(options.redundant_experts_num == 3 && options.eplb_update_interval == 77);
    CHECK_THAT(options.eplb_min_peak_load_improvement == 0.25);
    CHECK_THAT(options.eplb_prepare_timeout_seconds == 9 && options.eplb_policy_kind == "Greedy");
    // A manager without options takes these: 4 experts of each rank and 3 more.
    CHECK_THAT(EplbManager(1, 2, 8).placement().size() == 14);
    flags.prepare_timeout_seconds = 0;
    CHECK_THAT(throws<std::invalid_argument>([] { EplbOptions::from_global_config(); }));
    flags = EPLBConfig();
}

void options_out_of_range_are_refused() {
    const auto refuses = [](auto change) {
        EplbOptions options;
        change(options);
        return throws<std::invalid_argument>([&] { options.validate(); });
    };
    EplbOptions().validate();
    CHECK_THAT(refuses([](EplbOptions& options) { options.redundant_experts_num = -1; }));
    CHECK_THAT(refuses([](EplbOptions& options) { options.eplb_update_interval = -1; }));
    CHECK_THAT(refuses([](EplbOptions& options) { options.eplb_min_peak_load_improvement = 1.1; }));
    CHECK_THAT(refuses([](EplbOptions& options) { options.eplb_min_peak_load_improvement = NAN; }));
    CHECK_THAT(refuses([](EplbOptions& options) { options.eplb_prepare_timeout_seconds = 0; }));
    EplbOptions options;
    options.library_settings = "[manager]\nno_such_key = 1";
    CHECK_THAT(throws<::eplb::Error>([&] { EplbManager(1, 2, 8, options, nullptr); }));
    CHECK_THAT(throws<std::invalid_argument>([] { EplbManager(1, 3, 8, {}, nullptr); }));
    CHECK_THAT(throws<std::invalid_argument>([] { EplbManager(0, 2, 8, {}, nullptr); }));
}

void kinds_have_the_names_of_the_flags() {
    for (const char* name : {"balanced", "BALANCED", "flat", "deepseek_flat", "deepseek-flat",
                             "deepseek_hier", "deepseek-hier", "hier", "Hierarchical"}) {
        CHECK_THAT(eplb_policy_kind_from_string(name) == EplbPolicyKind::BALANCED);
    }
    CHECK_THAT(eplb_policy_kind_from_string("greedy") == EplbPolicyKind::GREEDY);
    CHECK_THAT(eplb_policy_kind_from_string("no such policy") == EplbPolicyKind::GREEDY);
}

// A policy that is none of the library's.
class Foreign final : public IEplbPolicy {
  public:
    std::pair<torch::Tensor, std::vector<bool>> rebalance_experts(torch::Tensor, torch::Tensor) override {
        return {};
    }
};

void managers_take_the_policies_of_the_library() {
    EplbOptions options;
    EplbManager(1, 2, 8, options, MakeEplbPolicy(EplbPolicyKind::GREEDY, 5, 2, 1, options));
    CHECK_THAT(throws<std::invalid_argument>(
        [&] { EplbManager(1, 2, 8, options, std::make_unique<Foreign>()); }));
}

// The most loaded rank's share of a layer's tokens, in ranks' worth.
double peak(const torch::Tensor& tables, const torch::Tensor& load, int64_t layer) {
    const auto table = tables[layer].to(torch::kInt64);
    const auto replicas = torch::bincount(table.reshape({-1}), {}, load.size(1));
    const auto of_slot = load[layer].to(torch::kFloat64) / replicas;
    const auto ranks = of_slot.index_select(0, table.reshape({-1})).reshape(table.sizes()).sum(1);
    return ranks.max().item<double>() / ranks.mean().item<double>();
}

void policies_plan_tables_that_balance() {
    for (const auto kind : {EplbPolicyKind::BALANCED, EplbPolicyKind::GREEDY}) {
        const auto policy = MakeEplbPolicy(kind, 5, 4, 3, EplbOptions());
        CHECK_THAT(policy->name() == (kind == EplbPolicyKind::BALANCED ? "balanced" : "greedy"));
        auto load = torch::full({3, 16}, 100, torch::kInt64);
        load[1].narrow(0, 0, 4).fill_(2000);
        load[2].fill_(0);
        const auto [tables, changes] = policy->rebalance_experts(load);
        CHECK_THAT(tables.sizes() == at::IntArrayRef({3, 4, 5}));
        CHECK_THAT(tables.scalar_type() == torch::kInt32);
        CHECK_THAT(changes.size() == 3 && changes[1] && !changes[2]);
        CHECK_THAT(peak(tables, load, 1) < 1.3);
        for (int64_t layer = 0; layer < 3; ++layer) {
            CHECK_THAT(torch::bincount(tables[layer].reshape({-1}), {}, 16).min().item<int64_t>() >= 1);
        }
        // The plan is in use now, and stays until the layer is given up.
        policy->commit_layer(1);
        policy->abort_layer(1);
        const auto [again, no_changes] = policy->rebalance_experts(load);
        CHECK_THAT(!no_changes[1] && again[1].equal(tables[1]));
    }
}

void aborted_layers_are_proposed_again() {
    const auto policy = MakeEplbPolicy(EplbPolicyKind::BALANCED, 5, 4, 1, EplbOptions());
    auto load = torch::full({1, 16}, 100, torch::kInt64);
    load[0].narrow(0, 0, 4).fill_(2000);
    const auto first = policy->rebalance_experts(load);
    policy->abort_layer(0);
    const auto second = policy->rebalance_experts(load);
    CHECK_THAT(first.second[0] && second.second[0] && first.first.equal(second.first));
    policy->initialize_distribution(first.first);
    CHECK_THAT(!policy->rebalance_experts(load).second[0]);
    CHECK_THAT(throws<std::invalid_argument>([&] { policy->rebalance_experts(load.to(torch::kInt32)); }));
    CHECK_THAT(throws<std::invalid_argument>([&] { policy->rebalance_experts(-load); }));
    CHECK_THAT(throws<std::invalid_argument>([&] { policy->initialize_distribution(load); }));
    // Expert 15 is nowhere.
    const auto broken = torch::zeros({1, 4, 5}, torch::kInt32);
    CHECK_THAT(throws<::eplb::Error>([&] { policy->initialize_distribution(broken); }));
}

void sums_are_added_to_the_experts_of_the_slots() {
    const EplbAggregator aggregator(1, 2, 2);
    auto load = torch::tensor({{1, 0, 0}}, torch::kInt64);
    auto physical = torch::zeros({1, 2, 2}, torch::kInt64);
    auto tables = torch::tensor({{{0, 1}, {2, 0}}}, torch::kInt32);
    std::vector<torch::Tensor> sums = {torch::tensor({{3, 7}}, torch::kInt64),
                                       torch::tensor({{2, 12}}, torch::kInt64)};
    aggregator.aggregate(load, physical, tables, sums);
    CHECK_THAT(load.equal(torch::tensor({{14, 4, 2}}, torch::kInt64)));
    CHECK_THAT(physical.equal(torch::tensor({{{3, 4}, {2, 10}}}, torch::kInt64)));
    CHECK_THAT(sums[1].equal(torch::tensor({{2, 10}}, torch::kInt64)));
    sums.pop_back();
    CHECK_THAT(throws<std::invalid_argument>([&] { aggregator.aggregate(load, tables, sums); }));
}

void small_functions_refuse_what_can_not_be() {
    using namespace ::xllm::eplb;
    CHECK_THAT(effective_device_num(4, 4) == 4);
    CHECK_THAT(throws<std::invalid_argument>([] { effective_device_num(4, 2); }));
    CHECK_THAT(local_physical_experts_num(16, 4, 2) == 6);
    CHECK_THAT(throws<std::invalid_argument>([] { local_physical_experts_num(15, 4, 2); }));
    CHECK_THAT(eplb_rank_from_worker_rank(3, 4, 4) == 3);
    CHECK_THAT(throws<std::invalid_argument>([] { eplb_rank_from_worker_rank(4, 4, 4); }));
    CHECK_THAT(count_cross_device_migrations({0, 1, 2, 3}, {1, 0, 0, 3}, 2) == 1);
    CHECK_THAT(throws<std::invalid_argument>([] { count_cross_device_migrations({0}, {0, 1}, 1); }));
    const auto mask = build_global_decode_token_mask(
        {torch::tensor({true, false}), torch::tensor({{true}})}, {2, 1});
    CHECK_THAT(mask.equal(torch::tensor({true, false, true})));
    CHECK_THAT(throws<std::invalid_argument>([&] { build_global_decode_token_mask({mask}, {2}); }));
    CHECK_THAT(expand_decode_token_mask(mask, 2).numel() == 6);
    CHECK_THAT(!expand_decode_token_mask(torch::Tensor(), 2).defined());
}

} // namespace

std::vector<Test> part_tests() {
    return {{"options_are_those_of_the_flags", options_are_those_of_the_flags},
            {"options_out_of_range_are_refused", options_out_of_range_are_refused},
            {"kinds_have_the_names_of_the_flags", kinds_have_the_names_of_the_flags},
            {"managers_take_the_policies_of_the_library", managers_take_the_policies_of_the_library},
            {"policies_plan_tables_that_balance", policies_plan_tables_that_balance},
            {"aborted_layers_are_proposed_again", aborted_layers_are_proposed_again},
            {"sums_are_added_to_the_experts_of_the_slots", sums_are_added_to_the_experts_of_the_slots},
            {"small_functions_refuse_what_can_not_be", small_functions_refuse_what_can_not_be}};
}

} // namespace xllm::test
