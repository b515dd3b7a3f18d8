// The worker's side: prepares on a thread and a stream of its own, switches on the worker's.
#include "core/framework/eplb/eplb_executor.h"

#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <exception>
#include <string>
#include <utility>

namespace xllm {

EplbExecutor::EplbExecutor(CausalLM& model, const torch::Device& device)
    : model_(model), device_(device) {
    // Started last: all that it uses is there.
    thread_ = std::thread([this] { run_tasks(); });
}

EplbExecutor::~EplbExecutor() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        is_stopped_ = true;
    }
    wake_.notify_all();
    thread_.join();
}

int64_t EplbExecutor::consume_ready_prepare_token() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (answers_.empty()) {
        return -1;
    }
    const int64_t token = answers_.front();
    answers_.pop_front();
    return token;
}

void EplbExecutor::eplb_execute(const EplbInfo& eplb_info) {
    try {
        start_eplb_step(eplb_info);
    } catch (const EplbStepRefused&) {
        finish_eplb_step();
        throw;
    }
    finish_eplb_step();
}

void EplbExecutor::start_eplb_step(const EplbInfo& eplb_info) {
    const bool has_update = eplb_info.update_layer_id != -1;
    const bool has_prepare = eplb_info.prepare_layer_id != -1;
    if (has_update) {
        update_layer_ = eplb_info.update_layer_id;
        is_going_back_ = !has_prepare && !eplb_info.expert_ids.empty();
        const Task task{eplb_info.update_layer_id, -1, eplb_info.expert_ids};
        if (is_going_back_) {
            prepare(task);
        } else {
            model_.start_expert_weight_transfer(task.layer);
        }
    }
    if (has_prepare) {
        Task task{eplb_info.prepare_layer_id, eplb_info.prepare_token, eplb_info.expert_ids};
        tokens_[task.layer] = task.token;
        if (has_update) {
            // Not beside a switch: it waits until that is queued.
            deferred_ = std::move(task);
        } else {
            enqueue(std::move(task));
        }
    }
    if (!left_behind_.empty()) {
        throw EplbStepRefused("layer " + std::to_string(left_behind_.begin()->first) +
                              " has its old table on this rank alone; this step must not run here");
    }
}

void EplbExecutor::finish_eplb_step() {
    if (update_layer_.has_value()) {
        const int32_t layer = *std::exchange(update_layer_, std::nullopt);
        try {
            model_.update_expert_weight(layer);
            if (is_going_back_) {
                left_behind_.erase(layer);
            }
        } catch (const std::exception&) {
            // The forward pass of this step was right: it used the old table, as on all ranks.
            left_behind_[layer] = tokens_[layer];
            answer(eplb_refusal_of(tokens_[layer]));
        }
    }
    if (deferred_.has_value()) {
        enqueue(*std::exchange(deferred_, std::nullopt));
    }
}

void EplbExecutor::enqueue(Task task) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        tasks_.push_back(std::move(task));
    }
    wake_.notify_one();
}

void EplbExecutor::answer(int64_t token) {
    const std::lock_guard<std::mutex> lock(mutex_);
    answers_.push_back(token);
}

void EplbExecutor::run_tasks() {
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
        wake_.wait(lock, [this] { return is_stopped_ || !tasks_.empty(); });
        if (is_stopped_) {
            return;
        }
        const Task task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        const bool is_ready = prepare(task);
        lock.lock();
        answers_.push_back(is_ready ? task.token : eplb_refusal_of(task.token));
    }
}

bool EplbExecutor::prepare(const Task& task) {
    try {
        const torch::NoGradGuard no_gradients;
        if (device_.is_cpu()) {
            model_.prepare_expert_weight(task.layer, task.expert_ids);
        } else {
            // What a model's own prepare queues is on no stream that forward passes run on.
            const c10::impl::VirtualGuardImpl kind(device_.type());
            const c10::Stream stream = kind.getStreamFromGlobalPool(device_, false);
            const c10::StreamGuard guard(stream);
            model_.prepare_expert_weight(task.layer, task.expert_ids);
            stream.synchronize();
        }
        return model_.last_prepare_expert_weight_ok(task.layer);
    } catch (const std::exception&) {
        return false;
    }
}

} // namespace xllm
