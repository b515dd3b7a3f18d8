// Cases of the misuse suite: each makes a wrong call and expects the number of an error. After every case
// all handles that it made have to be freed.
#pragma once

#include <eplb.hpp>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace misuse {

struct Case {
    std::string name;
    std::function<void()> run;
};

// All cases of the program, in the order in which files add them.
std::vector<Case> &cases();

// Adds a case before the program begins.
struct Added {
    Added(std::string name, std::function<void()> run) {
        cases().push_back({std::move(name), std::move(run)});
    }
};

// What a case expected and did not find.
struct Failure {
    std::string text;
};

inline void require(bool holds, const std::string &text) {
    if (!holds) {
        throw Failure{text};
    }
}

// A call has to give just this number, and with an error a line that begins with the function's name.
inline void expect(eplb_status found, eplb_status wanted, const char *call) {
    const std::string said = eplb_last_error();
    if (found != wanted) {
        throw Failure{std::string(call) + " gave " + eplb_status_name(found) + ", expected is " +
                      eplb_status_name(wanted) + (found == EPLB_OK ? "" : "; it said: " + said)};
    }
    if (found == EPLB_OK) {
        return;
    }
    require(eplb_last_error_code() == found, std::string(call) + ": the last error has another number");
    const std::string function(call, std::strcspn(call, "("));
    require(said.rfind(function + ": ", 0) == 0 && said.size() > function.size() + 2,
            std::string(call) + " said: " + said);
}

} // namespace misuse

#define EXPECT(wanted, ...) misuse::expect(__VA_ARGS__, wanted, #__VA_ARGS__)
#define JOIN_(left, right) left##right
#define JOIN(left, right) JOIN_(left, right)
#define CASE_(name, function)                                   \
    static void function();                                     \
    static const misuse::Added JOIN(function, _added)(name, function); \
    static void function()
#define CASE(name) CASE_(name, JOIN(case_, __LINE__))
