#include "socket.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <poll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "server.h"

namespace emulated {

namespace {

ProcessName make_own() {
    ProcessName name;
    name.pid = static_cast<std::uint32_t>(getpid());
    if (getrandom(&name.nonce, sizeof name.nonce, 0) != sizeof name.nonce) {
        // The pid alone has to do.
        name.nonce = name.pid;
    }
    return name;
}

} // namespace

const ProcessName &ProcessName::own() {
    static const ProcessName name = make_own();
    return name;
}

socklen_t address_of(const ProcessName &process, sockaddr_un *address) {
    std::memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    // The first byte stays zero: a name that is no file.
    const int length = std::snprintf(address->sun_path + 1, sizeof address->sun_path - 1,
                                     "eplb-emulated-" EPLB_EMULATED_TEXT(EPLB_EMULATED_VENDOR) "-%u-%016llx",
                                     process.pid, static_cast<unsigned long long>(process.nonce));
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + static_cast<std::size_t>(length));
}

Socket::~Socket() { close(); }

Socket::Socket(Socket &&other) noexcept : descriptor_(other.descriptor_) { other.descriptor_ = -1; }

Socket &Socket::operator=(Socket &&other) noexcept {
    if (this != &other) {
        close();
        descriptor_ = other.descriptor_;
        other.descriptor_ = -1;
    }
    return *this;
}

Socket Socket::to(const ProcessName &process) {
    Socket socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address;
    const socklen_t length = address_of(process, &address);
    if (!socket.is_open()) return socket;
    if (connect(socket.descriptor(), reinterpret_cast<const sockaddr *>(&address), length) != 0) socket.close();
    return socket;
}

void Socket::close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
}

void Socket::shut_down() {
    if (descriptor_ >= 0) shutdown(descriptor_, SHUT_RDWR);
}

bool Socket::send_all(const void *bytes, std::size_t count) {
    const auto *at = static_cast<const char *>(bytes);
    while (count > 0) {
        const ssize_t sent = send(descriptor_, at, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        at += sent;
        count -= static_cast<std::size_t>(sent);
    }
    return true;
}

bool Socket::receive_all(void *bytes, std::size_t count) {
    auto *at = static_cast<char *>(bytes);
    while (count > 0) {
        const ssize_t received = recv(descriptor_, at, count, 0);
        if (received < 0 && errno == EINTR) continue;
        if (received <= 0) return false;
        at += received;
        count -= static_cast<std::size_t>(received);
    }
    return true;
}

bool Socket::send_file(int file) {
    char byte = 'f';
    iovec vector{&byte, 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof file)] = {};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof file);
    std::memcpy(CMSG_DATA(header), &file, sizeof file);
    return sendmsg(descriptor_, &message, MSG_NOSIGNAL) == 1;
}

int Socket::receive_file() {
    char byte = 0;
    iovec vector{&byte, 1};
    int file = -1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof file)] = {};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (recvmsg(descriptor_, &message, MSG_CMSG_CLOEXEC) != 1) return -1;
    const cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != nullptr && header->cmsg_type == SCM_RIGHTS) {
        std::memcpy(&file, CMSG_DATA(header), sizeof file);
    }
    return file;
}

bool Socket::is_ended() const {
    pollfd poll_one{descriptor_, POLLIN | POLLRDHUP, 0};
    if (descriptor_ < 0) return true;
    if (poll(&poll_one, 1, 0) <= 0) return false;
    return (poll_one.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

int Socket::peer_process() const {
    ucred credentials{};
    socklen_t length = sizeof credentials;
    if (getsockopt(descriptor_, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return 0;
    return credentials.pid;
}

} // namespace emulated
