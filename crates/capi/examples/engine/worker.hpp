// A thread that does what it is given, one thing after the other: a rank's own thread.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

class Worker {
  public:
    Worker() : thread_([this] { serve(); }) {}
    Worker(const Worker &) = delete;
    ~Worker() {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            is_over_ = true;
        }
        changed_.notify_one();
        thread_.join();
    }

    // What `work` gives, or throws, is in the future.
    template <typename Work> auto run(Work work) -> std::future<decltype(work())> {
        auto task = std::make_shared<std::packaged_task<decltype(work())()>>(std::move(work));
        auto result = task->get_future();
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            waiting_.push_back([task] { (*task)(); });
        }
        changed_.notify_one();
        return result;
    }

  private:
    void serve() {
        for (;;) {
            std::unique_lock<std::mutex> lock(mutex_);
            changed_.wait(lock, [this] { return is_over_ || !waiting_.empty(); });
            if (waiting_.empty()) {
                return;
            }
            const auto next = std::move(waiting_.front());
            waiting_.pop_front();
            lock.unlock();
            next();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> waiting_;
    bool is_over_ = false;
    std::thread thread_;
};
