// Ranks as processes on a backend by name: the whole cycle, with the engine's messages over sockets.
//
// processes BACKEND [RANKS]. The first process is the engine's master and has the coordinator; each rank is a
// process that opens its own device. Every byte of every slot is compared at the end.
#include <eplb.hpp>

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr std::uint32_t LAYERS = 3, EXPERTS = 8;
constexpr std::size_t BYTES = 3000, STRIDE = 3072;
constexpr std::uint64_t STEPS = 40;
constexpr std::chrono::seconds LIMIT(60);

using Message = std::vector<std::uint8_t>;

// One end of a connection that carries whole messages.
class Connection {
  public:
    explicit Connection(int descriptor) : descriptor_(descriptor) {}
    Connection(Connection &&other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    Connection(const Connection &) = delete;
    ~Connection() {
        if (descriptor_ >= 0) {
            close(descriptor_);
        }
    }

    void send(const Message &message) const {
        const std::uint64_t size = message.size();
        write_all(&size, sizeof size);
        write_all(message.data(), message.size());
    }
    Message receive() const {
        std::uint64_t size = 0;
        read_all(&size, sizeof size);
        Message message(size);
        read_all(message.data(), message.size());
        return message;
    }

  private:
    void write_all(const void *bytes, std::size_t size) const {
        const auto *next = static_cast<const char *>(bytes);
        while (size > 0) {
            const ssize_t written = write(descriptor_, next, size);
            if (written <= 0) {
                throw std::runtime_error("the other process is gone");
            }
            next += written;
            size -= static_cast<std::size_t>(written);
        }
    }
    void read_all(void *bytes, std::size_t size) const {
        auto *next = static_cast<char *>(bytes);
        while (size > 0) {
            const ssize_t taken = read(descriptor_, next, size);
            if (taken <= 0) {
                throw std::runtime_error("the other process is gone");
            }
            next += taken;
            size -= static_cast<std::size_t>(taken);
        }
    }
    int descriptor_;
};

// What all processes agree on.
struct Model {
    explicit Model(std::uint32_t ranks)
        : config("enable_eplb = true\n[manager]\nwindow_samples = 4\nwindows_kept = 1\n"
                 "update_interval_steps = 8\n[policy]\nname = \"xllm\""),
          shape(eplb::model(LAYERS, EXPERTS)),
          topology(config.set("ep_size", static_cast<int>(ranks)), EXPERTS),
          placement(config, shape, topology) {}

    eplb::Config config;
    eplb_model shape;
    eplb::Topology topology;
    eplb::Placement placement;
};

// Which bytes an expert has: no two experts alike, no two bytes in a row alike.
Message weight(std::uint32_t layer, std::uint32_t expert) {
    Message bytes(BYTES);
    for (std::size_t index = 0; index < BYTES; ++index) {
        bytes[index] = static_cast<std::uint8_t>(index * 7 + layer * 101 + expert * 31 + 1);
    }
    return bytes;
}

class Rank {
  public:
    Rank(const std::string &backend_name, std::uint32_t rank, std::uint32_t ranks)
        : model_(ranks), own_(model_.topology.slots_of(rank)), backend_(backend_name, ranks),
          device_(backend_, rank % std::max(backend_.devices(), 1u)), stream_(device_),
          session_(open(rank)) {}

    void serve(const Connection &master) {
        master.send(session_.endpoint().copy());
        std::vector<Message> endpoints;
        for (std::uint32_t rank = 0; rank < model_.topology.ranks(); ++rank) {
            endpoints.push_back(master.receive());
        }
        session_.connect(endpoints);
        const std::vector<std::uint64_t> load = {100, 100, 100, 100, 100, 100, 900, 900};
        for (std::uint64_t step = 0; step < STEPS; ++step) {
            session_.begin_step(master.receive());
            std::vector<std::uint64_t> counts;
            for (std::uint32_t layer = 0; layer < LAYERS; ++layer) {
                const auto tokens = session_.divide(layer, load, model_.topology.slots());
                counts.insert(counts.end(), tokens.begin() + own_.first,
                              tokens.begin() + own_.first + own_.count);
            }
            master.send(session_.end_step(step, counts).copy());
            session_.settle(LIMIT); // these steps take no time of their own
        }
        Message verified(1, static_cast<std::uint8_t>(count_wrong_slots()));
        master.send(verified);
        // Others read this rank's weights until all have let go: first sessions end, then memory.
        session_.free();
        device_.drain(LIMIT);
        master.send({});
        master.receive();
    }

  private:
    eplb::Session open(std::uint32_t rank) {
        eplb::Weights weights;
        for (std::uint32_t layer = 0; layer < LAYERS; ++layer) {
            const auto experts = model_.placement.layer(layer, model_.topology.slots());
            memory_.emplace_back(device_, own_.count * STRIDE);
            for (std::uint32_t slot = 0; slot < own_.count; ++slot) {
                memory_[layer].write(stream_, slot * STRIDE, weight(layer, experts[own_.first + slot]),
                                     LIMIT);
            }
            weights.add_tensor(layer, "weights", memory_[layer], STRIDE, BYTES);
        }
        return eplb::Session(model_.config, rank, model_.placement, device_, stream_, weights);
    }

    std::size_t count_wrong_slots() const {
        std::size_t wrong = 0;
        for (std::uint32_t layer = 0; layer < LAYERS; ++layer) {
            const auto experts = session_.placement().layer(layer, model_.topology.slots());
            for (std::uint32_t slot = own_.first; slot < own_.first + own_.count; ++slot) {
                const auto bytes = session_.slot(layer, slot).read(stream_, 0, BYTES, LIMIT);
                wrong += bytes != weight(layer, experts[slot]);
            }
        }
        return wrong;
    }

    Model model_;
    eplb::Topology::Range own_;
    eplb::Backend backend_;
    eplb::Device device_;
    eplb::Stream stream_;
    std::vector<eplb::Memory> memory_;
    eplb::Session session_;
};

// The engine's master: gives the number of layers that were changed.
std::uint64_t lead(const std::vector<Connection> &ranks) {
    std::vector<Message> endpoints;
    for (const auto &rank : ranks) {
        endpoints.push_back(rank.receive());
    }
    for (const auto &rank : ranks) {
        for (const auto &endpoint : endpoints) {
            rank.send(endpoint);
        }
    }
    const Model model(static_cast<std::uint32_t>(ranks.size()));
    eplb::Coordinator coordinator(model.config, model.placement);
    for (std::uint64_t step = 0; step < STEPS; ++step) {
        const Message header = coordinator.begin_step(step).copy();
        for (const auto &rank : ranks) {
            rank.send(header);
        }
        for (std::uint32_t rank = 0; rank < ranks.size(); ++rank) {
            coordinator.accept_report(rank, ranks[rank].receive());
        }
        coordinator.settle(LIMIT);
    }
    for (const auto &rank : ranks) {
        if (rank.receive() != Message(1, 0)) {
            throw std::runtime_error("slots hold wrong bytes");
        }
    }
    for (const auto &rank : ranks) {
        rank.receive();
    }
    for (const auto &rank : ranks) {
        rank.send({});
    }
    return coordinator.counters().at("layers_committed");
}

// Runs a process to its end; its exit status.
template <typename Body> int guarded(const char *who, std::uint32_t rank, Body body) {
    try {
        body();
        return eplb_handle_count() == 0 ? 0 : 3;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s %u: %s\n", who, rank, error.what());
        return 1;
    }
}

} // namespace

int main(int count, char **arguments) {
    const std::string backend = count > 1 ? arguments[1] : "";
    const auto ranks = static_cast<std::uint32_t>(count > 2 ? std::atoi(arguments[2]) : 2);
    std::vector<Connection> connections;
    std::vector<pid_t> children;
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
            return 1;
        }
        // No process uses the library before it is what it stays.
        const pid_t child = fork();
        if (child == 0) {
            connections.clear();
            close(ends[0]);
            return guarded("rank", rank, [&] {
                const Connection master(ends[1]);
                Rank(backend, rank, ranks).serve(master);
            });
        }
        close(ends[1]);
        connections.emplace_back(ends[0]);
        children.push_back(child);
    }
    int failed = guarded("master", 0, [&] {
        const auto committed = lead(connections);
        std::printf("%s: %u processes, %d layers committed, all slots verified\n", backend.c_str(),
                    ranks, static_cast<int>(committed));
        if (committed < LAYERS) {
            throw std::runtime_error("fewer layers were changed than there are");
        }
    });
    connections.clear();
    for (const pid_t child : children) {
        int status = 0;
        waitpid(child, &status, 0);
        failed += status != 0;
    }
    return failed == 0 ? 0 : 1;
}
