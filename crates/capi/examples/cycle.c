/* The whole cycle in C: two ranks in one process on the host backend.
 * cc cycle.c $(pkg-config --cflags --libs eplb) -o cycle && ./cycle */
#include <eplb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANKS = 2, EXPERTS = 4, SLOTS = 3, BYTES = 4096, LIMIT = 5000 };

static void check(eplb_status status) {
    if (status == EPLB_OK) return;
    fprintf(stderr, "%s\n", eplb_last_error());
    exit(1);
}

int main(void) {
    const char *toml = "enable_eplb = true\nep_size = 2\nmanager.window_samples = 4\nmanager.update_interval_steps = 8";
    const eplb_model model = {.struct_size = sizeof model, .layers = 1, .experts = EXPERTS};
    const uint64_t load[EXPERTS] = {100, 100, 900, 900}; /* tokens of each expert in a step */
    uint64_t tokens[RANKS * SLOTS], committed;
    uint32_t experts[RANKS * SLOTS]; /* of each slot */
    uint8_t bytes[BYTES], expected[BYTES];
    eplb_config *config; eplb_topology *topology; eplb_placement *placement, *now;
    eplb_backend *backend; eplb_device *device; eplb_weights *weights; eplb_memory *memory;
    eplb_stream *streams[RANKS]; eplb_session *sessions[RANKS]; eplb_coordinator *coordinator;
    eplb_bytes endpoints[RANKS], header, report;

    check(eplb_config_parse(toml, "cycle", &config));
    check(eplb_topology_create(config, EXPERTS, &topology));
    check(eplb_placement_create(config, &model, topology, &placement));
    check(eplb_placement_layer(placement, 0, experts, RANKS * SLOTS, NULL));
    check(eplb_backend_open("host", RANKS, NULL, &backend));
    for (int rank = 0; rank < RANKS; rank++) { /* an engine lends its own device, stream and weights */
        check(eplb_device_open(backend, rank, &device));
        check(eplb_stream_create(device, EPLB_PRIORITY_HIGH, &streams[rank]));
        check(eplb_memory_allocate(device, SLOTS * BYTES, &memory));
        for (int slot = 0; slot < SLOTS; slot++) {
            memset(bytes, (int)experts[rank * SLOTS + slot], BYTES);
            check(eplb_memory_write(memory, streams[rank], slot * BYTES, bytes, BYTES, LIMIT));
        }
        check(eplb_weights_create(&weights));
        check(eplb_weights_add_tensor(weights, 0, "weights", memory, BYTES, BYTES));
        const eplb_session_options options = {.struct_size = sizeof options, .config = config,
            .placement = placement, .device = device, .stream = streams[rank], .weights = weights, .rank = rank};
        check(eplb_session_open(&options, &sessions[rank]));
        check(eplb_session_endpoint(sessions[rank], &endpoints[rank])); /* travels to all ranks */
        check(eplb_weights_free(weights) | eplb_memory_free(memory) | eplb_device_free(device));
    }
    for (int rank = 0; rank < RANKS; rank++) check(eplb_session_connect(sessions[rank], endpoints, RANKS));
    check(eplb_coordinator_start(config, placement, NULL, &coordinator));
    for (uint64_t step = 0; step < 32; step++) {
        check(eplb_coordinator_begin_step(coordinator, step, 1, &header)); /* travels to every rank */
        for (int rank = 0; rank < RANKS; rank++) {
            const eplb_load counted = {.struct_size = sizeof counted, .first_step = step,
                .last_step = step, .counts = tokens + rank * SLOTS, .count = SLOTS};
            check(eplb_session_begin_step(sessions[rank], header.data, header.size)); /* switches */
            check(eplb_session_divide(sessions[rank], 0, load, EXPERTS, tokens, RANKS * SLOTS));
            check(eplb_session_end_step(sessions[rank], &counted, NULL, &report)); /* travels back */
            check(eplb_coordinator_accept_report(coordinator, rank, report.data, report.size));
            check(eplb_session_settle(sessions[rank], LIMIT)); /* these steps take no time */
        }
        check(eplb_coordinator_settle(coordinator, LIMIT));
    }
    check(eplb_coordinator_counter(coordinator, "layers_committed", &committed));
    check(eplb_session_placement(sessions[0], &now));
    check(eplb_placement_layer(now, 0, experts, RANKS * SLOTS, NULL));
    for (int slot = 0; slot < RANKS * SLOTS; slot++) { /* what the ranks hold, byte for byte */
        check(eplb_session_slot(sessions[slot / SLOTS], 0, slot, 0, &memory));
        check(eplb_memory_read(memory, streams[slot / SLOTS], 0, bytes, BYTES, LIMIT));
        memset(expected, (int)experts[slot], BYTES);
        if (memcmp(bytes, expected, BYTES) != 0) return 1;
        check(eplb_memory_free(memory));
    }
    for (int rank = 0; rank < RANKS; rank++) check(eplb_session_free(sessions[rank]) | eplb_stream_free(streams[rank]));
    check(eplb_coordinator_free(coordinator) | eplb_backend_free(backend) | eplb_placement_free(now));
    check(eplb_placement_free(placement) | eplb_topology_free(topology) | eplb_config_free(config));
    printf("%d layer committed, %d slots verified\n", (int)committed, RANKS * SLOTS);
    return eplb_handle_count() == 0 ? 0 : 1;
}
