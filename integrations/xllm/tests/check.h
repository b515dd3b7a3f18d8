// Checks that end a test with the place and the text of what does not hold.
#pragma once

#include <stdexcept>
#include <string>

#define CHECK_THAT(condition)                                                                  \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            throw std::runtime_error(std::string(__FILE__) + ":" + std::to_string(__LINE__) + \
                                     ": not so: " #condition);                                 \
        }                                                                                      \
    } while (false)

// Whether a call throws an exception of a type.
template <typename Exception, typename Function> bool throws(Function function) {
    try {
        function();
    } catch (const Exception&) {
        return true;
    }
    return false;
}
