// The thread at which other processes, and ranks of this one, ask.
#pragma once

#include <cstdint>
#include <sys/socket.h>
#include <sys/un.h>

#include "socket.h"

namespace emulated {

socklen_t address_of(const ProcessName &process, sockaddr_un *address);

// What a connection is for; the first bytes on it.
struct Greeting {
    enum Kind : std::uint32_t { import = 1, join = 2, link = 3 };
    static constexpr std::uint32_t MAGIC = 0x45504c42;

    std::uint32_t magic = MAGIC;
    Kind kind = import;
    // Export, or communicator together with the process that named it.
    std::uint32_t number = 0;
    std::int32_t from = 0;
    std::int32_t to = 0;
    std::uint32_t unused = 0;
    ProcessName process;
};

class Server {
public:
    // Starts it at the first call; false if there can be none.
    static bool start();

private:
    static void listen_on(int descriptor);
    static void serve(Socket socket);
};

} // namespace emulated
