#include "server.h"

#include <thread>
#include <unistd.h>

#include "exports.h"
#include "link_set.h"
#include "rooms.h"

namespace emulated {

bool Server::start() {
    static const bool started = [] {
        const int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address;
        const socklen_t length = address_of(ProcessName::own(), &address);
        if (descriptor < 0) return false;
        if (bind(descriptor, reinterpret_cast<const sockaddr *>(&address), length) != 0) return false;
        if (listen(descriptor, SOMAXCONN) != 0) return false;
        std::thread([descriptor] { listen_on(descriptor); }).detach();
        return true;
    }();
    return started;
}

void Server::listen_on(int descriptor) {
    while (true) {
        const int accepted = accept4(descriptor, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0) {
            // Out of descriptors, for example: others may be given back.
            usleep(1000);
            continue;
        }
        // One thread each: a rank waits in its room for the others.
        std::thread([accepted] { serve(Socket(accepted)); }).detach();
    }
}

void Server::serve(Socket socket) {
    Greeting greeting;
    if (!socket.receive_all(&greeting, sizeof greeting) || greeting.magic != Greeting::MAGIC) return;
    const int process = socket.peer_process();
    switch (greeting.kind) {
    case Greeting::import: Exports::all().serve(std::move(socket), greeting.number, process); break;
    case Greeting::join: Rooms::all().serve(std::move(socket), greeting.number); break;
    case Greeting::link: LinkSets::all().serve(std::move(socket), greeting); break;
    }
}

} // namespace emulated
