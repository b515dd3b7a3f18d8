// The tests by name.
#pragma once

#include <vector>

namespace xllm::test {

struct Test {
    const char* name;
    void (*run)();
};

std::vector<Test> part_tests();     // options, policies, sums, small functions
std::vector<Test> protocol_tests(); // whole steps of an engine
std::vector<Test> failure_tests();  // steps in which something goes wrong

inline std::vector<Test> all_tests() {
    auto all = part_tests();
    for (const auto& more : {protocol_tests(), failure_tests()}) {
        all.insert(all.end(), more.begin(), more.end());
    }
    return all;
}

} // namespace xllm::test
