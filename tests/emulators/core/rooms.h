// Where the ranks of a communicator meet, in the process that made its name.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "outcome.h"
#include "socket.h"

namespace emulated {

// What a rank says of itself, followed by its settings.
struct JoinRequest {
    std::int32_t rank = 0;
    std::int32_t ranks = 0;
    std::int32_t device = 0;
    std::uint32_t settings = 0;
    ProcessName process;
};

// The answer, followed by a sentence, and for success by the processes of all ranks.
struct JoinAnswer {
    std::uint32_t fault = 0;
    std::uint32_t text = 0;
};

class Rooms {
public:
    static Rooms &all();

    // A rank that came; answers it when all ranks are there, or when they cannot be any more.
    void serve(Socket socket, std::uint32_t number);

private:
    struct Member {
        JoinRequest request;
        std::string settings;
    };
    struct Room {
        std::mutex mutex;
        std::condition_variable changed;
        std::map<std::int32_t, Member> members;
        std::int32_t ranks = 0;
        bool complete = false;
        Outcome failure;
    };

    std::shared_ptr<Room> room(std::uint32_t number);
    static Outcome check(const Room &room, const Member &newcomer);

    std::mutex mutex_;
    std::map<std::uint32_t, std::shared_ptr<Room>> rooms_;
};

} // namespace emulated
