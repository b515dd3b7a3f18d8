#include "exports.h"

#include <algorithm>
#include <cstring>
#include <unistd.h>

#include "machine.h"
#include "server.h"
#include "violations.h"

namespace emulated {

namespace {

// What the exporter answers.
struct Answer {
    std::uint32_t fault = 0;
    std::int32_t device = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
};

std::uint64_t sum_of(const std::uint8_t *bytes, std::size_t count) {
    std::uint64_t sum = 14695981039346656037u;
    for (std::size_t index = 0; index < count; ++index) sum = (sum ^ bytes[index]) * 1099511628211u;
    return sum;
}

} // namespace

std::array<std::uint8_t, 24> ExportKey::bytes() const {
    std::array<std::uint8_t, 24> all{};
    std::memcpy(all.data(), &process.pid, 4);
    std::memcpy(all.data() + 4, &number, 4);
    std::memcpy(all.data() + 8, &process.nonce, 8);
    const std::uint64_t sum = sum_of(all.data(), 16);
    std::memcpy(all.data() + 16, &sum, 8);
    return all;
}

std::string ExportKey::text() const {
    constexpr char DIGITS[] = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : bytes()) {
        text += DIGITS[byte >> 4];
        text += DIGITS[byte & 15];
    }
    return text;
}

bool ExportKey::read(const std::uint8_t *bytes, ExportKey *key) {
    std::uint64_t sum = 0;
    std::memcpy(&sum, bytes + 16, 8);
    if (sum != sum_of(bytes, 16)) return false;
    std::memcpy(&key->process.pid, bytes, 4);
    std::memcpy(&key->number, bytes + 4, 4);
    std::memcpy(&key->process.nonce, bytes + 8, 8);
    return true;
}

bool ExportKey::read(const std::string &text, ExportKey *key) {
    std::array<std::uint8_t, 24> all{};
    if (text.size() != 2 * all.size()) return false;
    for (std::size_t index = 0; index < text.size(); ++index) {
        const char digit = text[index];
        int value = -1;
        if (digit >= '0' && digit <= '9') value = digit - '0';
        if (digit >= 'a' && digit <= 'f') value = digit - 'a' + 10;
        if (value < 0) return false;
        all[index / 2] = static_cast<std::uint8_t>(all[index / 2] * 16 + value);
    }
    return read(all.data(), key);
}

bool ExportKey::is_of_this_process() const { return process == ProcessName::own(); }

Exports &Exports::all() {
    static auto *const exports = new Exports;
    return *exports;
}

Outcome Exports::add(const std::shared_ptr<Allocation> &allocation, bool for_all, ExportKey *key) {
    if (!Server::start()) return Outcome::failed(Fault::system, "no socket to export at");
    if (allocation->place != Place::device) {
        return Outcome::failed(Fault::invalid_address, "only device memory of this process can be exported");
    }
    std::lock_guard lock(mutex_);
    key->process = ProcessName::own();
    if (allocation->exported != 0) {
        key->number = static_cast<std::uint32_t>(allocation->exported);
        return Outcome::success();
    }
    key->number = ++last_;
    allocation->exported = key->number;
    auto &exported = exports_[key->number];
    exported.allocation = allocation;
    exported.device = allocation->owner;
    exported.address = allocation->address;
    exported.bytes = allocation->bytes;
    exported.for_all = for_all;
    return Outcome::success();
}

Outcome Exports::allow(const ExportKey &key, const std::vector<int> &processes) {
    std::lock_guard lock(mutex_);
    const auto found = exports_.find(key.number);
    if (!key.is_of_this_process() || found == exports_.end()) {
        return Outcome::failed(Fault::not_exported, "the key is of no export of this process");
    }
    found->second.allowed.insert(processes.begin(), processes.end());
    return Outcome::success();
}

std::size_t Exports::open_imports(Export &exported) {
    auto &importers = exported.importers;
    importers.erase(std::remove_if(importers.begin(), importers.end(),
                                   [](const Socket &importer) { return importer.is_ended(); }),
                    importers.end());
    return importers.size();
}

Outcome Exports::withdraw(const ExportKey &key, std::size_t *imports) {
    std::lock_guard lock(mutex_);
    const auto found = exports_.find(key.number);
    if (!key.is_of_this_process() || found == exports_.end()) {
        return Outcome::failed(Fault::not_exported, "the key is of no export of this process");
    }
    *imports = open_imports(found->second);
    if (const auto allocation = found->second.allocation.lock()) allocation->exported = 0;
    exports_.erase(found);
    return Outcome::success();
}

void Exports::freed(const char *function, const Allocation &allocation) {
    std::lock_guard lock(mutex_);
    const auto found = exports_.find(static_cast<std::uint32_t>(allocation.exported));
    if (found == exports_.end()) return;
    const std::size_t imports = open_imports(found->second);
    if (imports > 0) {
        Violations::all().report("freed_while_imported",
                                 std::string(function) + ": " + std::to_string(imports) +
                                     " other processes have the memory open; importers close first");
    }
    exports_.erase(found);
}

std::size_t Exports::live() {
    std::lock_guard lock(mutex_);
    return exports_.size();
}

std::size_t Exports::imports() {
    std::lock_guard lock(imports_mutex_);
    return imports_.size();
}

std::uintptr_t Exports::address_of(const ExportKey &key) {
    std::lock_guard lock(imports_mutex_);
    const auto found = imports_.find(key.text());
    return found == imports_.end() ? 0 : found->second.address;
}

void Exports::serve(Socket socket, std::uint32_t number, int process) {
    Answer answer;
    std::lock_guard lock(mutex_);
    const auto found = exports_.find(number);
    if (found == exports_.end()) {
        answer.fault = static_cast<std::uint32_t>(Fault::not_exported);
    } else if (!found->second.for_all && found->second.allowed.count(process) == 0) {
        answer.fault = static_cast<std::uint32_t>(Fault::not_permitted);
    } else {
        const auto &exported = found->second;
        answer.device = exported.device->ordinal();
        answer.offset = exported.device->offset(exported.address);
        answer.bytes = exported.bytes;
    }
    if (!socket.send_all(&answer, sizeof answer) || answer.fault != 0) return;
    if (socket.send_file(found->second.device->file())) found->second.importers.push_back(std::move(socket));
}

Outcome Exports::import(const ExportKey &key, const std::shared_ptr<Context> &importer, std::uintptr_t *address) {
    if (key.is_of_this_process()) {
        return Outcome::failed(Fault::not_permitted, "the exporting process cannot import");
    }
    std::lock_guard lock(imports_mutex_);
    const auto known = imports_.find(key.text());
    if (known != imports_.end()) {
        known->second.opens += 1;
        *address = known->second.address;
        return Outcome::success();
    }
    Socket socket = Socket::to(key.process);
    Greeting greeting;
    greeting.kind = Greeting::import;
    greeting.number = key.number;
    Answer answer;
    if (!socket.is_open() || !socket.send_all(&greeting, sizeof greeting) ||
        !socket.receive_all(&answer, sizeof answer)) {
        return Outcome::failed(Fault::not_exported, "the exporting process is gone");
    }
    if (answer.fault != 0) {
        return Outcome::failed(static_cast<Fault>(answer.fault),
                               answer.fault == static_cast<std::uint32_t>(Fault::not_permitted)
                                   ? "this process is not listed for the export"
                                   : "the memory is not exported any more");
    }
    const int file = socket.receive_file();
    if (file < 0) return Outcome::failed(Fault::system, "the exporter's memory did not come");
    const Outcome mapped = Memory::all().import(file, answer.offset, answer.bytes, answer.device,
                                                importer->device(), importer->id(), address);
    ::close(file);
    if (!mapped.ok()) return mapped;
    auto &import = imports_[key.text()];
    import.address = *address;
    import.opens = 1;
    import.context = importer->id();
    import.exporter = std::move(socket);
    return Outcome::success();
}

Outcome Exports::close(const char *function, std::uintptr_t address) {
    std::lock_guard lock(imports_mutex_);
    for (auto found = imports_.begin(); found != imports_.end(); ++found) {
        if (found->second.address != address) continue;
        found->second.opens -= 1;
        if (found->second.opens > 0) return Outcome::success();
        imports_.erase(found);
        return Memory::all().close_import(function, address);
    }
    Violations::all().report("close_of_foreign_import",
                             std::string(function) + ": the address is where no import begins");
    return Outcome::failed(Fault::invalid_address, "no import begins there");
}

} // namespace emulated
