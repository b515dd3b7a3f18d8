#include "orders.h"

#include <charconv>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <sys/stat.h>

#include "violations.h"

namespace emulated {

namespace {

// Splits at line ends and semicolons, and drops comments and blank orders.
std::vector<std::string> split(const std::string &text) {
    std::vector<std::string> orders;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        line = line.substr(0, line.find('#'));
        std::istringstream parts(line);
        for (std::string part; std::getline(parts, part, ';');) {
            if (part.find_first_not_of(" \t\r") != std::string::npos) orders.push_back(part);
        }
    }
    return orders;
}

bool read_number(const std::string &word, std::int64_t *number) {
    const char *end = word.data() + word.size();
    const auto result = std::from_chars(word.data(), end, *number);
    return result.ec == std::errc() && result.ptr == end && !word.empty();
}

struct Form {
    Order::Kind kind;
    const char *word;
    bool has_name;
    bool has_value;
    bool has_count;
};

constexpr Form FORMS[] = {
    {Order::Kind::delay, "delay", true, true, true},
    {Order::Kind::fail, "fail", true, true, true},
    {Order::Kind::fail_later, "fail_later", true, true, true},
    {Order::Kind::garble, "garble", true, false, true},
    {Order::Kind::lose, "lose", false, true, false},
    {Order::Kind::refuse, "refuse", true, false, false},
    {Order::Kind::limit, "limit", true, true, false},
};

constexpr const char *CAPABILITIES[] = {"peer_access", "ipc", "batch_copy", "communicators",
                                        "host_registration", "stream_abort", "events_between_processes"};
constexpr const char *RESOURCES[] = {"streams", "events", "memory"};

template <std::size_t N>
bool is_one_of(const std::string &word, const char *const (&words)[N]) {
    for (const char *known : words) {
        if (word == known) return true;
    }
    return false;
}

// Empty if it was understood, else why not.
std::string parse(const std::string &text, Order *order) {
    std::istringstream words(text);
    std::string word;
    words >> word;
    const Form *form = nullptr;
    for (const auto &known : FORMS) {
        if (word == known.word) form = &known;
    }
    if (form == nullptr) {
        return "\"" + word + "\" is none of delay, fail, fail_later, garble, lose, refuse, limit";
    }
    order->kind = form->kind;
    if (form->has_name && !(words >> order->name)) return "a name is missing";
    if (form->has_value) {
        if (!(words >> word)) return "a number is missing";
        if (!read_number(word, &order->value)) return "\"" + word + "\" is no number";
        if (form->kind != Order::Kind::fail && order->value < 0) return "the number is negative";
    }
    if (form->kind == Order::Kind::refuse && !is_one_of(order->name, CAPABILITIES)) {
        return "no capability \"" + order->name + "\"";
    }
    if (form->kind == Order::Kind::limit && !is_one_of(order->name, RESOURCES)) {
        return "no resource \"" + order->name + "\"";
    }
    if (form->kind != Order::Kind::delay) order->times = 1;
    while (words >> word) {
        std::int64_t number = 0;
        std::string value;
        if (!form->has_count) return "\"" + word + "\" has no place in it";
        if (!(words >> value) || !read_number(value, &number) || number < 0) {
            return "\"" + word + "\" needs a number";
        }
        if (word == "nth" && number > 0) {
            order->nth = static_cast<std::uint64_t>(number);
        } else if (word == "times") {
            order->times.reset();
            if (number > 0) order->times = static_cast<std::uint64_t>(number);
        } else if (word == "device") {
            order->device = static_cast<int>(number);
        } else {
            return "\"" + word + " " + value + "\" is none of nth N (from 1), times N, device N";
        }
    }
    return "";
}

std::string parse_all(const std::string &text, std::vector<Order> *orders) {
    for (const auto &part : split(text)) {
        Order order;
        const std::string failure = parse(part, &order);
        if (!failure.empty()) return "the order \"" + part + "\" was not understood: " + failure;
        orders->push_back(std::move(order));
    }
    return "";
}

} // namespace

Orders &Orders::all() {
    static auto *const orders = new Orders;
    return *orders;
}

Orders::Orders() {
    if (const char *text = std::getenv("EPLB_EMULATOR_ORDERS")) {
        const std::string failure = give(text);
        if (!failure.empty()) Violations::all().report("order_not_understood", failure);
    }
    if (const char *path = std::getenv("EPLB_EMULATOR_CONTROL")) control_path_ = path;
}

std::string Orders::give(const std::string &text) {
    std::vector<Order> orders;
    std::string failure = parse_all(text, &orders);
    if (!failure.empty()) return failure;
    std::lock_guard lock(mutex_);
    for (auto &order : orders) given_.push_back(std::move(order));
    return "";
}

void Orders::read_control() {
    if (control_path_.empty()) return;
    struct stat status {};
    if (stat(control_path_.c_str(), &status) != 0) return;
    const std::int64_t stamp = status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec + status.st_size;
    if (stamp == control_stamp_) return;
    control_stamp_ = stamp;
    std::ifstream file(control_path_);
    std::ostringstream text;
    text << file.rdbuf();
    std::vector<Order> orders;
    const std::string failure = parse_all(text.str(), &orders);
    if (!failure.empty()) {
        Violations::all().report("order_not_understood", control_path_ + ": " + failure);
        return;
    }
    control_ = std::move(orders);
}

Ordered Orders::take(const char *function, int device) {
    std::lock_guard lock(mutex_);
    read_control();
    Ordered ordered;
    for (auto *orders : {&given_, &control_}) {
        for (auto &order : *orders) {
            if (order.kind > Order::Kind::garble || order.name != function) continue;
            if (order.device && *order.device != device) continue;
            order.seen += 1;
            if (order.seen < order.nth) continue;
            if (order.times && order.seen >= order.nth + *order.times) continue;
            const int code = static_cast<int>(order.value);
            switch (order.kind) {
            case Order::Kind::delay: ordered.delay += std::chrono::microseconds(order.value); break;
            case Order::Kind::fail: ordered.fail = code; break;
            case Order::Kind::fail_later: ordered.fail_later = code; break;
            default: ordered.garble = true; break;
            }
        }
    }
    auto &calls = calls_[function];
    calls.made += 1;
    calls.failed += ordered.fail ? 1 : 0;
    return ordered;
}

std::string Orders::calls() {
    std::lock_guard lock(mutex_);
    std::string text;
    for (const auto &[function, calls] : calls_) {
        text += function + " " + std::to_string(calls.made) + " " + std::to_string(calls.failed) + "\n";
    }
    return text;
}

bool Orders::refuses(const char *capability) {
    std::lock_guard lock(mutex_);
    read_control();
    for (const auto *orders : {&given_, &control_}) {
        for (const auto &order : *orders) {
            if (order.kind == Order::Kind::refuse && order.name == capability) return true;
        }
    }
    return false;
}

bool Orders::loses(int rank) {
    std::lock_guard lock(mutex_);
    read_control();
    for (const auto *orders : {&given_, &control_}) {
        for (const auto &order : *orders) {
            if (order.kind == Order::Kind::lose && order.value == rank) return true;
        }
    }
    return false;
}

std::uint64_t Orders::limit(const char *resource, std::uint64_t otherwise) {
    std::lock_guard lock(mutex_);
    read_control();
    for (const auto *orders : {&control_, &given_}) {
        for (auto order = orders->rbegin(); order != orders->rend(); ++order) {
            if (order->kind == Order::Kind::limit && order->name == resource) {
                return static_cast<std::uint64_t>(order->value);
            }
        }
    }
    return otherwise;
}

void Orders::clear() {
    std::lock_guard lock(mutex_);
    given_.clear();
    control_.clear();
}

} // namespace emulated
