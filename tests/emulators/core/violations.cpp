#include "violations.h"

#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

namespace emulated {

Violations &Violations::all() {
    static auto *const violations = new Violations;
    return *violations;
}

void Violations::report(const char *rule, const std::string &sentence) {
    std::lock_guard lock(mutex_);
    found_.push_back({rule, sentence});
    const char *path = std::getenv("EPLB_EMULATOR_REPORT");
    if (path == nullptr || *path == 0) return;
    // One write per line, so that lines of several processes do not mix.
    const int file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0) return;
    const std::string line = std::to_string(getpid()) + "\t" + rule + "\t" + sentence + "\n";
    if (write(file, line.data(), line.size()) < 0) {
        // The report is in memory all the same.
    }
    close(file);
}

std::size_t Violations::count() {
    std::lock_guard lock(mutex_);
    return found_.size();
}

std::string Violations::text() {
    std::lock_guard lock(mutex_);
    std::string text;
    for (const auto &violation : found_) text += violation.rule + "\t" + violation.sentence + "\n";
    return text;
}

void Violations::clear() {
    std::lock_guard lock(mutex_);
    found_.clear();
}

} // namespace emulated
