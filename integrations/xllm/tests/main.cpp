// Runs all tests, or those whose names are given, and says which failed.
#include <cstdio>
#include <cstring>
#include <exception>

#include "tests.h"

int main(int count, char** arguments) {
    int run = 0, failed = 0;
    for (const auto& test : xllm::test::all_tests()) {
        bool is_wanted = count == 1;
        for (int index = 1; index < count; ++index) {
            is_wanted |= std::strcmp(arguments[index], test.name) == 0;
        }
        if (!is_wanted) {
            continue;
        }
        ++run;
        try {
            test.run();
            std::printf("%s: ok\n", test.name);
        } catch (const std::exception& error) {
            ++failed;
            std::printf("%s: FAILED: %s\n", test.name, error.what());
        }
        std::fflush(stdout);
    }
    std::printf("%d tests, %d failed\n", run, failed);
    return run > 0 && failed == 0 ? 0 : 1;
}
