// The engine's side: commands out of the coordinator's headers, reports to it out of tokens and sums.
#include "core/framework/eplb/eplb_manager.h"

#include <algorithm>
#include <stdexcept>

#include "core/framework/eplb/library_policy.h"

namespace xllm {

namespace {

// The options, with the kind of a policy that was handed in.
EplbOptions with_policy(EplbOptions options, const IEplbPolicy* policy) {
    if (policy == nullptr) {
        return options;
    }
    if (dynamic_cast<const LibraryPolicy*>(policy) == nullptr) {
        throw std::invalid_argument("eplb_policy is " + policy->name() +
                                    ", allowed is null or a policy of MakeEplbPolicy");
    }
    options.eplb_policy_kind = policy->name();
    return options;
}

} // namespace

EplbManager::EplbManager(int32_t layer_num, int32_t device_num, int32_t experts_num)
    : EplbManager(layer_num, device_num, experts_num, EplbOptions::from_global_config(), nullptr) {}

EplbManager::EplbManager(int32_t layer_num, int32_t device_num, int32_t experts_num,
                         EplbOptions options, std::unique_ptr<IEplbPolicy> eplb_policy)
    : EplbManager(EplbLayout(layer_num, device_num, experts_num, options.redundant_experts_num),
                  with_policy(options, eplb_policy.get())) {}

EplbManager::EplbManager(const EplbLayout& layout, const EplbOptions& options)
    : layout_(layout),
      config_(layout.config(options)),
      topology_(config_, static_cast<uint32_t>(layout.experts_num)),
      coordinator_(config_, layout.placement(topology_, layout.initial_table())),
      tables_(static_cast<size_t>(layout.layer_num), layout.initial_table()) {}

EplbInfo EplbManager::get_eplb_info(bool allow_eplb_command) {
    const std::lock_guard<std::mutex> lock(mutex_);
    try {
        return begin_step(allow_eplb_command);
    } catch (const ::eplb::Error&) {
        // The step runs with the tables that stand; what is under way meets its deadline.
        ++counters_["xllm_steps_without_coordinator"];
        return {};
    }
}

EplbInfo EplbManager::begin_step(bool allow_eplb_command) {
    report_step();
    ++step_;
    take_directives(::eplb::read_header(coordinator_.begin_step(step_, allow_eplb_command)));
    return next_command(allow_eplb_command);
}

// Tells the coordinator what came since the last step began: a rank has one report for a step.
void EplbManager::report_step() {
    if (step_ == 0 || !sample_.has_value()) {
        return;
    }
    const Sample sample = std::move(*sample_);
    sample_.reset();
    for (size_t rank = 0; rank < sample.sums.size(); ++rank) {
        if (!sample.is_heard[rank]) {
            continue;
        }
        auto load = ::eplb::sized<eplb_load>();
        load.first_step = load.last_step = step_ - 1;
        load.counts = sample.sums[rank].data();
        load.count = sample.sums[rank].size();
        load.form = EPLB_COUNTS_PREFIX_SUMS;
        std::vector<::eplb::Answer> answers;
        for (const auto& [token, change] : changes_) {
            if (const auto answer = change.answer_of(rank)) {
                answers.push_back(*answer);
            }
        }
        const auto sender = static_cast<uint32_t>(rank);
        const eplb_load* counted = sample.is_usable[rank] ? &load : nullptr;
        coordinator_.accept_report(sender, ::eplb::write_report(sender, step_, counted, answers));
    }
}

void EplbManager::take_directives(const std::vector<::eplb::Directive>& directives) {
    // What a header no longer names is over.
    for (auto change = changes_.begin(); change != changes_.end();) {
        const bool is_named = std::any_of(
            directives.begin(), directives.end(),
            [&](const ::eplb::Directive& named) { return named.token == change->first; });
        change = is_named ? std::next(change) : changes_.erase(change);
    }
    for (const auto& directive : directives) {
        take_directive(directive);
    }
}

void EplbManager::take_directive(const ::eplb::Directive& directive) {
    auto& table = tables_[directive.layer];
    if (directive.kind == EPLB_DIRECTIVE_PREPARE && changes_.count(directive.token) == 0) {
        EplbChange change;
        change.token = directive.token;
        change.layer = static_cast<int32_t>(directive.layer);
        change.before = table;
        change.after.assign(directive.experts.begin(), directive.experts.end());
        change.said.assign(static_cast<size_t>(layout_.device_num), EplbChange::Said::NOTHING);
        changes_.emplace(directive.token, std::move(change));
        return;
    }
    EplbChange& change = changes_.at(directive.token);
    if (directive.kind == EPLB_DIRECTIVE_COMMIT && !change.commit_step.has_value()) {
        change.commit_step = directive.at_step;
        table = change.after;
    }
    if (directive.kind == EPLB_DIRECTIVE_REVERT && !change.is_back_due) {
        change.is_back_due = true;
        // A switch that was never sent has nothing to come back from.
        change.is_back = !change.is_update_sent;
        table = change.before;
    }
}

EplbInfo EplbManager::next_command(bool allow_eplb_command) {
    EplbInfo info;
    for (auto& [token, change] : changes_) {
        if (change.is_back_due && !change.is_back_sent && !change.is_back) {
            info.update_layer_id = change.layer;
            info.activation_token = change.back_token();
            info.expert_ids = change.before;
            change.is_back_sent = true;
            ++counters_["xllm_switches_back_sent"];
            return info;
        }
    }
    if (!allow_eplb_command) {
        return info;
    }
    for (auto& [token, change] : changes_) {
        const bool is_to_update = change.commit_step.has_value() && !change.is_back_due;
        if (is_to_update && !change.is_update_sent && info.update_layer_id == -1) {
            info.update_layer_id = change.layer;
            info.activation_token = change.prepare_token();
            change.is_update_sent = true;
        } else if (!change.is_prepare_sent && info.prepare_layer_id == -1) {
            info.prepare_layer_id = change.layer;
            info.prepare_token = change.prepare_token();
            info.expert_ids = change.after;
            change.is_prepare_sent = true;
        }
    }
    return info;
}

void EplbManager::set_prepared_tokens(const std::vector<int64_t>& prepare_tokens) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (prepare_tokens.size() != static_cast<size_t>(layout_.device_num)) {
        ++counters_["xllm_answers_of_other_sizes"];
        return;
    }
    for (size_t rank = 0; rank < prepare_tokens.size(); ++rank) {
        if (prepare_tokens[rank] != -1) {
            take_token(rank, prepare_tokens[rank]);
        }
    }
}

void EplbManager::take_token(size_t rank, int64_t token) {
    using Said = EplbChange::Said;
    const bool is_refusal = token < -1;
    const int64_t prepare_token = is_refusal ? eplb_refusal_of(token) : token;
    for (auto& [library_token, change] : changes_) {
        if (change.prepare_token() != prepare_token || !change.is_prepare_sent) {
            continue;
        }
        auto& said = change.said[rank];
        if (said == Said::NOTHING) {
            said = is_refusal ? Said::REFUSED : Said::PREPARED;
        } else if (said == Said::PREPARED && is_refusal && change.is_update_sent &&
                   !change.is_updated) {
            said = Said::FAILED;
        }
        return;
    }
    ++counters_["xllm_prepare_tokens_stale"];
}

void EplbManager::update_expert_load(const std::vector<torch::Tensor>& expert_load,
                                     int64_t completed_activation_token) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool is_repeated = sample_.has_value();
    if (expert_load.size() != static_cast<size_t>(layout_.device_num)) {
        ++counters_["xllm_loads_of_other_sizes"];
    } else if (is_repeated || step_ == 0) {
        // More outputs than steps that have begun: one is enough, and the coordinator takes no more.
        ++counters_["xllm_loads_beyond_steps"];
    } else {
        // The tables of that step are those from before its switch is known to be done.
        sample_ = sample_of(expert_load);
    }
    if (completed_activation_token != -1 && !take_completion(completed_activation_token)) {
        ++counters_["xllm_activation_tokens_unknown"];
    }
}

bool EplbManager::take_completion(int64_t token) {
    for (auto& [library_token, change] : changes_) {
        if (change.prepare_token() == token && change.is_update_sent) {
            change.is_updated = true;
            return true;
        }
        if (change.back_token() == token && change.is_back_sent) {
            change.is_back = true;
            return true;
        }
    }
    return false;
}

EplbManager::Sample EplbManager::sample_of(const std::vector<torch::Tensor>& expert_load) {
    Sample sample;
    for (const auto& tensor : expert_load) {
        std::vector<uint64_t> sums;
        const bool is_heard = tensor.defined();
        const bool is_usable = is_heard && copy_sums(tensor, sums);
        if (is_usable) {
            const auto slots = static_cast<size_t>(layout_.device_experts_num);
            for (const auto& [token, change] : changes_) {
                if (change.is_between_tables()) {
                    const auto first = sums.begin() + static_cast<ptrdiff_t>(change.layer * slots);
                    std::fill(first, first + static_cast<ptrdiff_t>(slots), 0);
                }
            }
        } else if (is_heard) {
            ++counters_["xllm_loads_unusable"];
        }
        sample.sums.push_back(std::move(sums));
        sample.is_heard.push_back(is_heard);
        sample.is_usable.push_back(is_usable);
    }
    return sample;
}

// Whether the tensor holds what a worker can count: rising sums of at least 0 in each layer.
bool EplbManager::copy_sums(const torch::Tensor& tensor, std::vector<uint64_t>& sums) const {
    const int64_t layers = layout_.layer_num, slots = layout_.device_experts_num;
    if (tensor.dim() != 2 || tensor.size(0) != layers || tensor.size(1) != slots ||
        tensor.scalar_type() != torch::kInt64 || !tensor.device().is_cpu()) {
        return false;
    }
    const auto dense = tensor.contiguous();
    const int64_t* counts = dense.data_ptr<int64_t>();
    for (int64_t layer = 0; layer < layers; ++layer) {
        const int64_t* row = counts + layer * slots;
        if (row[0] < 0 || !std::is_sorted(row, row + slots)) {
            return false;
        }
    }
    sums.assign(counts, counts + layers * slots);
    return true;
}

std::map<std::string, uint64_t> EplbManager::metrics() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    auto metrics = coordinator_.counters();
    metrics.insert(counters_.begin(), counters_.end());
    return metrics;
}

std::vector<std::string> EplbManager::take_notes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::string> notes;
    coordinator_.take_notes([&](const eplb_note& note) { notes.emplace_back(note.text); });
    return notes;
}

std::vector<int32_t> EplbManager::placement() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<int32_t> placement;
    for (const auto& table : tables_) {
        placement.insert(placement.end(), table.begin(), table.end());
    }
    return placement;
}

} // namespace xllm
