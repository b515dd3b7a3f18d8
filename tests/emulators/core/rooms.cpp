#include "rooms.h"

#include <chrono>

namespace emulated {

namespace {

// How often a waiting rank is looked at, whether it still is there.
constexpr std::chrono::milliseconds LOOK{20};
constexpr std::uint32_t LONGEST_SETTINGS = 1 << 16;

std::string rank_text(std::int32_t rank) { return "rank " + std::to_string(rank); }

} // namespace

Rooms &Rooms::all() {
    static auto *const rooms = new Rooms;
    return *rooms;
}

std::shared_ptr<Rooms::Room> Rooms::room(std::uint32_t number) {
    std::lock_guard lock(mutex_);
    auto &room = rooms_[number];
    if (room == nullptr) room = std::make_shared<Room>();
    return room;
}

Outcome Rooms::check(const Room &room, const Member &newcomer) {
    const auto &request = newcomer.request;
    if (room.complete) return Outcome::failed(Fault::mismatch, "the id was used for a communicator before");
    if (room.ranks != 0 && room.ranks != request.ranks) {
        return Outcome::failed(Fault::mismatch, "ranks give different sizes: " + std::to_string(room.ranks) +
                                                    " and " + std::to_string(request.ranks));
    }
    for (const auto &[rank, member] : room.members) {
        if (rank == request.rank) return Outcome::failed(Fault::mismatch, rank_text(rank) + " came twice");
        if (member.request.device == request.device) {
            return Outcome::failed(Fault::duplicate_device, rank_text(rank) + " and " + rank_text(request.rank) +
                                                                " are both on device " +
                                                                std::to_string(request.device));
        }
        if (member.settings != newcomer.settings) {
            return Outcome::failed(Fault::mismatch, rank_text(rank) + " and " + rank_text(request.rank) +
                                                        " give different settings: " + member.settings + " and " +
                                                        newcomer.settings);
        }
    }
    return Outcome::success();
}

void Rooms::serve(Socket socket, std::uint32_t number) {
    Member newcomer;
    auto &request = newcomer.request;
    if (!socket.receive_all(&request, sizeof request) || request.settings > LONGEST_SETTINGS) return;
    newcomer.settings.resize(request.settings);
    if (!socket.receive_all(newcomer.settings.data(), request.settings)) return;
    const std::int32_t rank = request.rank;
    const auto room = this->room(number);
    std::vector<ProcessName> processes;
    Outcome outcome;
    {
        std::unique_lock lock(room->mutex);
        if (room->failure.ok()) {
            const Outcome checked = check(*room, newcomer);
            if (room->complete) {
                outcome = checked;
            } else {
                room->failure = checked;
            }
        }
        if (room->failure.ok() && outcome.ok()) {
            room->ranks = request.ranks;
            room->members.emplace(rank, std::move(newcomer));
            room->complete = room->members.size() == static_cast<std::size_t>(room->ranks);
        }
        room->changed.notify_all();
        while (room->failure.ok() && outcome.ok() && !room->complete) {
            room->changed.wait_for(lock, LOOK);
            if (!room->complete && room->failure.ok() && socket.is_ended()) {
                room->failure = Outcome::failed(Fault::peer_lost, rank_text(rank) + " left before all had come");
                room->changed.notify_all();
            }
        }
        if (outcome.ok()) outcome = room->failure;
        for (const auto &entry : room->members) processes.push_back(entry.second.request.process);
    }
    JoinAnswer answer;
    answer.fault = static_cast<std::uint32_t>(outcome.fault);
    answer.text = static_cast<std::uint32_t>(outcome.text.size());
    if (!socket.send_all(&answer, sizeof answer)) return;
    if (!socket.send_all(outcome.text.data(), outcome.text.size())) return;
    if (outcome.ok()) socket.send_all(processes.data(), processes.size() * sizeof(ProcessName));
}

} // namespace emulated
