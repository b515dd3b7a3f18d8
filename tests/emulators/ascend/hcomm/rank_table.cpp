#include "ascend/hcomm/rank_table.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <unistd.h>

namespace emulated {

namespace {

Outcome wrong(const std::string &text) { return Outcome::failed(Fault::invalid_argument, "rank table: " + text); }

// A number in quotes, as the format has it. -1 if the object has none of this name.
int number(const std::string &object, const char *name) {
    const std::regex pattern(std::string("\"") + name + "\"\\s*:\\s*\"?(\\d{1,6})\"?");
    std::smatch match;
    return std::regex_search(object, match, pattern) ? std::stoi(match[1]) : -1;
}

std::string beside(const std::string &path) { return path + ".emulated-name"; }

} // namespace

Outcome RankTable::read(const char *path, RankTable *table) {
    if (path == nullptr) return wrong("no path");
    std::ifstream file(path);
    if (!file) return wrong(std::string(path) + " cannot be read");
    std::ostringstream text;
    text << file.rdbuf();
    const std::string all = text.str();
    std::map<int, int> devices;
    // The innermost objects are the devices.
    const std::regex object("\\{[^{}]*\\}");
    for (std::sregex_iterator found(all.begin(), all.end(), object), end; found != end; ++found) {
        const std::string one = found->str();
        const int rank = number(one, "rank_id");
        if (rank < 0) continue;
        if (!devices.emplace(rank, number(one, "device_id")).second) {
            return wrong("rank " + std::to_string(rank) + " is there twice");
        }
    }
    if (devices.empty()) return wrong("no ranks in it");
    table->path = path;
    table->devices.clear();
    for (const auto &[rank, device] : devices) {
        if (rank != static_cast<int>(table->devices.size())) return wrong("the ranks have a gap");
        table->devices.push_back(device);
    }
    return Outcome::success();
}

bool RankTable::leave_name(const CommunicatorName &name) const {
    const std::string draft = beside(path) + "." + std::to_string(getpid());
    const auto bytes = name.bytes();
    std::ofstream file(draft, std::ios::binary);
    file.write(reinterpret_cast<const char *>(bytes.data()), bytes.size());
    file.close();
    return file && std::rename(draft.c_str(), beside(path).c_str()) == 0;
}

bool RankTable::find_name(CommunicatorName *name) const {
    std::array<std::uint8_t, 24> bytes{};
    std::ifstream file(beside(path), std::ios::binary);
    file.read(reinterpret_cast<char *>(bytes.data()), bytes.size());
    return file && CommunicatorName::read(bytes.data(), name);
}

void RankTable::take_name_away() const { unlink(beside(path).c_str()); }

} // namespace emulated
