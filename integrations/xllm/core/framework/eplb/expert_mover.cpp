// The model's side: xLLM's hooks as headers to a session of the library.
#include "core/framework/eplb/expert_mover.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace xllm {

namespace {

constexpr std::chrono::milliseconds PAUSE(1);
constexpr std::chrono::milliseconds LAST_COPIES(5000);

EplbLayout layout_of(const ExpertMoverOptions& options) {
    return EplbLayout(options.layer_num, options.device_num, options.experts_num,
                      options.settings.redundant_experts_num);
}

} // namespace

ExpertMover::ExpertMover(const ExpertMoverOptions& options)
    : layout_(layout_of(options)),
      rank_(options.rank),
      limit_(std::chrono::seconds(options.settings.eplb_prepare_timeout_seconds)),
      config_(layout_.config(options.settings)),
      topology_(config_, static_cast<uint32_t>(layout_.experts_num)),
      device_(options.device),
      stream_(options.stream),
      weights_(std::in_place),
      tables_(static_cast<size_t>(layout_.layer_num), layout_.initial_table()),
      epochs_(static_cast<size_t>(layout_.layer_num), 0),
      highest_epochs_(epochs_) {}

ExpertMover::~ExpertMover() {
    try {
        if (session_.has_value() && change_.has_value()) {
            session_->settle(LAST_COPIES);
        }
        session_.reset();
        weights_.reset();
        device_->drain(LAST_COPIES);
    } catch (const std::exception&) {
        // A device that does not end its work is told by the next call of its owner.
    }
}

void ExpertMover::add_tensor(int32_t layer, const std::string& name, const torch::Tensor& tensor) {
    const auto slots = static_cast<int64_t>(layout_.device_experts_num);
    if (!tensor.defined() || tensor.dim() < 1 || tensor.size(0) != slots ||
        !tensor.select(0, 0).is_contiguous()) {
        throw std::invalid_argument("tensor " + name + " of layer " + std::to_string(layer) +
                                    " does not begin with " + std::to_string(slots) +
                                    " slots that are each without gaps");
    }
    const auto element = static_cast<size_t>(tensor.element_size());
    add_memory(layer, name, tensor.data_ptr(), static_cast<size_t>(tensor.stride(0)) * element,
               static_cast<size_t>(tensor.numel() / slots) * element);
    tensors_.push_back(tensor);
}

void ExpertMover::add_memory(int32_t layer, const std::string& name, void* address,
                             size_t slot_stride, size_t slot_bytes) {
    const auto slots = static_cast<size_t>(layout_.device_experts_num);
    const size_t bytes = slot_stride * (slots - 1) + slot_bytes;
    const auto memory = ::eplb::Memory::borrow(*device_, address, bytes);
    weights_->add_tensor(static_cast<uint32_t>(layer), name, memory, slot_stride, slot_bytes);
}

std::vector<uint8_t> ExpertMover::open() {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto placement = layout_.placement(topology_, layout_.initial_table());
    session_.emplace(config_, static_cast<uint32_t>(rank_), placement, *device_, *stream_, *weights_);
    return session_->endpoint().copy();
}

void ExpertMover::connect(const std::vector<std::vector<uint8_t>>& endpoints) {
    const std::lock_guard<std::mutex> lock(mutex_);
    session_->connect(endpoints);
}

void ExpertMover::prepare(int32_t layer, const std::vector<int32_t>& expert_ids) {
    const auto deadline = std::chrono::steady_clock::now() + limit_;
    std::unique_lock<std::mutex> lock(mutex_);
    try {
        stays_.reset();
        if (layer >= 0 && layer < layout_.layer_num &&
            tables_[static_cast<size_t>(layer)] == expert_ids) {
            stays_ = layer;
            return;
        }
        if (change_.has_value() && change_->is_switched && change_->layer == layer &&
            change_->before == expert_ids) {
            // What the switch overwrote is still kept.
            change_->is_to_go_back = true;
            return;
        }
        // The last switch's copies come first: with the next header it is final.
        bool is_begun = false;
        while (true) {
            const auto said = answer();
            if (is_begun && said.has_value()) {
                change_->is_ready = said->kind == EPLB_ANSWER_PREPARED;
                last_error_ = said->reason;
                return;
            }
            const bool is_settled = !change_.has_value() || !change_->is_switched ||
                                    (said.has_value() && said->kind != EPLB_ANSWER_PREPARED);
            if (!is_begun && is_settled) {
                begin(layer, expert_ids);
                is_begun = true;
            } else if (std::chrono::steady_clock::now() > deadline) {
                last_error_ = "layer " + std::to_string(layer) + " was not ready in time";
                if (is_begun) {
                    send({});
                    change_.reset();
                }
                return;
            }
            lock.unlock();
            std::this_thread::sleep_for(PAUSE);
            lock.lock();
        }
    } catch (const ::eplb::Error& error) {
        last_error_ = error.what();
    }
}

bool ExpertMover::is_prepared(int32_t layer) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stays_ == layer) {
        return true;
    }
    return change_.has_value() && change_->layer == layer &&
           (change_->is_to_go_back || (change_->is_ready && !change_->is_switched));
}

void ExpertMover::update(int32_t layer) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stays_ == layer) {
        // What was prepared instead is not wanted any more.
        stays_.reset();
        if (change_.has_value() && change_->layer == layer && !change_->is_switched) {
            send({});
            change_.reset();
        }
        return;
    }
    if (!change_.has_value() || change_->layer != layer) {
        fail("layer " + std::to_string(layer) + " is not prepared");
    }
    auto& change = *change_;
    const auto index = static_cast<size_t>(layer);
    if (change.is_to_go_back || (change.is_ready && !change.is_switched)) {
        const bool goes_back = change.is_to_go_back;
        const uint64_t epoch = epochs_[index];
        epochs_[index] = goes_back ? change.epoch_before : change.epoch;
        try {
            send({directive(goes_back ? EPLB_DIRECTIVE_REVERT : EPLB_DIRECTIVE_COMMIT)});
        } catch (const ::eplb::Error& error) {
            epochs_[index] = epoch;
            last_error_ = error.what();
            throw;
        }
        tables_[index] = goes_back ? change.before : change.after;
        change.is_switched = !goes_back;
        change.is_to_go_back = false;
        return;
    }
    fail("layer " + std::to_string(layer) + " is not prepared");
}

// Tells the session of a new change; what it knew before is final, or dropped.
void ExpertMover::begin(int32_t layer, const std::vector<int32_t>& expert_ids) {
    const auto index = static_cast<size_t>(layer);
    if (layer < 0 || index >= tables_.size()) {
        fail("layer " + std::to_string(layer) + " is none of the model");
    }
    change_ = Change{next_token_++,  layer,          tables_[index],
                     expert_ids,     epochs_[index], ++highest_epochs_[index]};
    send({directive(EPLB_DIRECTIVE_PREPARE)});
}

// What the session says of its change now.
std::optional<::eplb::Answer> ExpertMover::answer() {
    for (auto& answer : ::eplb::read_report(session_->end_step())) {
        if (change_.has_value() && answer.token == change_->token) {
            return answer;
        }
    }
    return std::nullopt;
}

void ExpertMover::send(const std::vector<::eplb::Directive>& directives) {
    ++step_;
    session_->begin_step(::eplb::write_header(step_, epochs_, directives));
}

::eplb::Directive ExpertMover::directive(int32_t kind) const {
    ::eplb::Directive directive;
    directive.kind = kind;
    directive.layer = static_cast<uint32_t>(change_->layer);
    directive.token = change_->token;
    directive.from_epoch = change_->epoch_before;
    directive.epoch = kind == EPLB_DIRECTIVE_REVERT ? change_->epoch_before : change_->epoch;
    directive.at_step = step_ + 1;
    if (kind == EPLB_DIRECTIVE_PREPARE) {
        directive.experts.assign(change_->after.begin(), change_->after.end());
    }
    return directive;
}

void ExpertMover::fail(const std::string& reason) {
    last_error_ = reason;
    throw ::eplb::Error(EPLB_ERROR_STATE, reason);
}

std::vector<int32_t> ExpertMover::expert_ids(int32_t layer) const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return tables_.at(static_cast<size_t>(layer));
}

torch::Tensor ExpertMover::log2phy(int32_t layer) const {
    const auto table = expert_ids(layer);
    const auto experts = static_cast<size_t>(layout_.experts_num);
    const int32_t first = rank_ * layout_.device_experts_num;
    std::vector<std::vector<int32_t>> replicas(experts);
    std::vector<int32_t> chosen(experts, -1);
    for (int32_t slot = 0; slot < layout_.slots(); ++slot) {
        const auto expert = static_cast<size_t>(table[static_cast<size_t>(slot)]);
        replicas[expert].push_back(slot);
        if (chosen[expert] == -1 && slot >= first && slot < first + layout_.device_experts_num) {
            chosen[expert] = slot;
        }
    }
    for (size_t expert = 0; expert < experts; ++expert) {
        if (chosen[expert] == -1) {
            chosen[expert] = replicas[expert][static_cast<size_t>(rank_) % replicas[expert].size()];
        }
    }
    return torch::tensor(chosen, torch::kInt32);
}

std::string ExpertMover::last_error() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return last_error_;
}

std::map<std::string, uint64_t> ExpertMover::figures() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return session_->figures();
}

} // namespace xllm
