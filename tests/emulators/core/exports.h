// Memory that is shared between processes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "context.h"
#include "memory.h"
#include "socket.h"

namespace emulated {

// Names an export: exporting process, number, and a sum over both.
struct EMULATED_API ExportKey {
    ProcessName process;
    std::uint32_t number = 0;

    // 24 bytes, and the same as 48 digits.
    std::array<std::uint8_t, 24> bytes() const;
    std::string text() const;
    // False if it is none, or damaged.
    static bool read(const std::uint8_t *bytes, ExportKey *key);
    static bool read(const std::string &text, ExportKey *key);
    bool is_of_this_process() const;
};

class EMULATED_API Exports {
public:
    static Exports &all();

    // Exports the whole allocation; the same key again for one that is exported already. Without
    // `for_all`, only the processes listed with `allow` may import.
    Outcome add(const std::shared_ptr<Allocation> &allocation, bool for_all, ExportKey *key);
    Outcome allow(const ExportKey &key, const std::vector<int> &processes);
    // Ends an export. How many imports are open is told; the facade decides what that means.
    Outcome withdraw(const ExportKey &key, std::size_t *imports);
    // The allocation was freed: reports `freed_while_imported` if a process still has it open.
    void freed(const char *function, const Allocation &allocation);
    std::size_t live();

    // Opens another process's export on the importer's device. A second time in one process gives the
    // same address and counts. In the exporting process: `not_permitted`, for the facade to translate.
    Outcome import(const ExportKey &key, const std::shared_ptr<Context> &importer,
                   std::uintptr_t *address);
    // Takes one open away; the last one unmaps. Reports `close_of_foreign_import` and, with
    // unfinished work, `freed_while_used`.
    Outcome close(const char *function, std::uintptr_t address);
    // Where an import begins, 0 if there is none of this key.
    std::uintptr_t address_of(const ExportKey &key);
    std::size_t imports();

    // Called by the server: another process asks.
    void serve(Socket socket, std::uint32_t number, int process);

private:
    struct Export {
        std::weak_ptr<Allocation> allocation;
        std::shared_ptr<Device> device;
        std::uintptr_t address = 0;
        std::size_t bytes = 0;
        bool for_all = true;
        std::set<int> allowed;
        // One for each process that has it open; readable when that process has closed it or died.
        std::vector<Socket> importers;
    };
    struct Import {
        std::uintptr_t address = 0;
        std::uint64_t opens = 0;
        std::uint64_t context = 0;
        Socket exporter;
    };
    static std::size_t open_imports(Export &exported);

    std::mutex mutex_;
    std::uint32_t last_ = 0;
    std::map<std::uint32_t, Export> exports_;
    // One of its own: it is held while another process is asked, which may ask for an export of this one.
    std::mutex imports_mutex_;
    std::map<std::string, Import> imports_;
};

} // namespace emulated
