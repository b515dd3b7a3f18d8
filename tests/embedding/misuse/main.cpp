// Runs all cases of the misuse suite, or those whose name has the text given, and says what failed.
#include "case.hpp"

#include <cstdio>

std::vector<misuse::Case> &misuse::cases() {
    static std::vector<Case> all;
    return all;
}

// What is wrong after a case, empty if nothing is.
static std::string outcome(const misuse::Case &one) {
    const std::size_t before = eplb_handle_count();
    try {
        one.run();
    } catch (const misuse::Failure &failure) {
        return failure.text;
    } catch (const std::exception &error) {
        return std::string("it threw: ") + error.what();
    }
    const std::size_t after = eplb_handle_count();
    return before == after ? "" : std::to_string(after) + " handles are alive, before were " + std::to_string(before);
}

int main(int count, char **arguments) {
    const std::string wanted = count > 1 ? arguments[1] : "";
    int run = 0;
    int failed = 0;
    for (const auto &one : misuse::cases()) {
        if (one.name.find(wanted) == std::string::npos) {
            continue;
        }
        const std::string wrong = outcome(one);
        ++run;
        if (!wrong.empty()) {
            ++failed;
            std::printf("FAILED %s: %s\n", one.name.c_str(), wrong.c_str());
        }
    }
    std::printf("%d cases, %d failed\n", run, failed);
    return run > 0 && failed == 0 ? 0 : 1;
}
