// Reports of broken rules.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include "vendor.h"

namespace emulated {

struct Violation {
    // Short and fixed, such as `use_after_free`; README.md lists them.
    std::string rule;
    // What was done, where.
    std::string sentence;
};

// All of the process. Each is also appended to the file that EPLB_EMULATOR_REPORT names, with the pid.
class EMULATED_API Violations {
public:
    static Violations &all();

    void report(const char *rule, const std::string &sentence);
    std::size_t count();
    // One per line: rule, tab, sentence.
    std::string text();
    void clear();

private:
    std::mutex mutex_;
    std::vector<Violation> found_;
};

} // namespace emulated
