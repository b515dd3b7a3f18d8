// Sockets between the processes of a host. They have names that are no files, so that a killed process
// leaves nothing behind, and its peers see the end of the connection at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "vendor.h"

namespace emulated {

// A process, so that others find its server.
struct EMULATED_API ProcessName {
    std::uint32_t pid = 0;
    std::uint32_t unused = 0; // sent along, so that no byte is undefined
    std::uint64_t nonce = 0;

    static const ProcessName &own();
    bool operator==(const ProcessName &other) const { return pid == other.pid && nonce == other.nonce; }
};

// An owned connection.
class EMULATED_API Socket {
public:
    Socket() = default;
    explicit Socket(int descriptor) : descriptor_(descriptor) {}
    ~Socket();
    Socket(Socket &&other) noexcept;
    Socket &operator=(Socket &&other) noexcept;
    Socket(const Socket &) = delete;
    Socket &operator=(const Socket &) = delete;

    // To a process's server; invalid if it is gone.
    static Socket to(const ProcessName &process);

    bool is_open() const { return descriptor_ >= 0; }
    int descriptor() const { return descriptor_; }
    void close();
    // The other side sees the end, and so does who reads here.
    void shut_down();

    // All or nothing; false if the other side is gone.
    bool send_all(const void *bytes, std::size_t count);
    bool receive_all(void *bytes, std::size_t count);
    bool send_file(int file);
    // -1 if none came.
    int receive_file();
    // Whether the other side has closed or died. Reads nothing.
    bool is_ended() const;
    int peer_process() const;

private:
    int descriptor_ = -1;
};

} // namespace emulated
