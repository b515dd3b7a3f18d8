"""`plan`, traces, placements in files, and `simulate`."""

import json
import resource
import threading
import time

import numpy as np
import pytest
from shared import ROOT, v3_loads

import eplb

V3 = eplb.Topology(32, 9, 4)


def test_deepseek_plans_as_rebalance_experts_does(golden):
    for vector in golden:
        ranks = vector["num_gpus"]
        topology = eplb.Topology(ranks, vector["num_replicas"] // ranks, vector["num_nodes"])
        plan = eplb.plan(np.array(vector["weight"]), topology, policy="deepseek", groups=vector["num_groups"])
        np.testing.assert_array_equal(plan.physical_to_logical_map, vector["physical_to_logical_map"])
        np.testing.assert_array_equal(plan.logical_replica_count, vector["logical_replica_count"])


@pytest.mark.parametrize("policy", eplb.POLICIES)
def test_every_policy_plans_and_its_maps_belong_together(policy):
    loads = v3_loads()[:4]
    start = eplb.plan(loads, V3, policy="static").physical_to_logical_map
    plan = eplb.plan(loads, V3, policy=policy, present=start, groups=8)
    assert plan.physical_to_logical_map.dtype == np.int64 and plan.shares.dtype == np.uint16
    for layer in range(4):
        counts = np.bincount(plan.physical_to_logical_map[layer], minlength=256)
        np.testing.assert_array_equal(counts, plan.logical_replica_count[layer])
        sums = np.bincount(plan.physical_to_logical_map[layer], weights=plan.shares[layer])
        assert (sums == 65535).all()
    assert (plan.balancedness >= plan.balancedness_before).all()
    assert (plan.moved_slots >= 0).all() and (policy == "static") == (plan.moved_slots == 0).all()


def test_without_a_placement_nothing_is_said_of_moves():
    plan = eplb.plan(v3_loads()[:2], V3)
    assert np.isnan(plan.balancedness_before).all() and (plan.moved_slots == -1).all()


def test_dead_ranks_speeds_nodes_and_uneven_slots_are_planned_for():
    loads = v3_loads()[:2]
    topology = eplb.Topology(4, [72, 80, 72, 80], [0, 0, 1, 1], dead=[1], speeds=[1, 1, 0.5, 1.5])
    assert (topology.live_ranks, topology.slots, topology.slots_of(1)) == ([0, 2, 3], 304, (72, 152))
    with pytest.raises(eplb.PolicyError, match="224 live slots cannot hold 256 experts"):
        eplb.plan(loads, topology)
    topology = eplb.Topology(4, [100, 80, 100, 120], [0, 0, 1, 1], dead=[1], speeds=[1, 1, 0.5, 1.5])
    plan = eplb.plan(loads, topology)
    placed = plan.logical_to_physical_map[plan.logical_to_physical_map >= 0]
    assert not ((placed >= 100) & (placed < 180)).any()


def test_some_layers_within_a_budget():
    windows = np.stack([v3_loads(seed)[:4] for seed in range(3)])
    start = eplb.plan(windows[0], V3, policy="deepseek").physical_to_logical_map
    plan = eplb.plan(windows, V3, present=start, layers=[3, 1], weights=[1, 2, 4], most_sent=10)
    assert plan.physical_to_logical_map.shape == (2, 288)
    assert plan.moved_slots.sum() <= 10


REFUSED = [
    (dict(policy="best"), eplb.ConfigError, 'policy.name = "best" is not allowed'),
    (dict(policy={"name": "robust", "top_k": 0}), eplb.ConfigError, "policy.top_k = 0 is not allowed"),
    (dict(policy={"nane": "robust"}), eplb.ConfigError, "unknown field `nane`"),
    (dict(policy=7), eplb.ArgumentError, "policy is a int"),
    (dict(weights=[1, 2]), eplb.PolicyError, "2 weights for 1 windows"),
    (dict(weights=[-1]), eplb.PolicyError, "window 0 has weight -1"),
    (dict(layers=[9]), eplb.PolicyError, "layer 9 is not one of the model's 2 layers"),
    (dict(layers=[]), eplb.ArgumentError, "layers is empty"),
    (dict(groups=7), eplb.ModelError, "256 experts do not divide into 7 groups"),
    (dict(present=np.zeros((2, 288))), eplb.PlacementError, "places expert 1 on no live rank"),
    (dict(present=np.full((2, 288), 256)), eplb.PlacementError, "physical_to_logical_map[0][0]"),
    (dict(present=np.zeros((2, 9))), eplb.PlacementError, "a placement of [2, 9]"),
    (dict(windows=np.zeros((2, 256)) - 1), eplb.LoadError, "windows[0][0][0] is -1"),
    (dict(windows=np.zeros((2, 256)) + 0.5), eplb.ArgumentError, "no whole numbers"),
    (dict(windows=np.full((2, 256), np.nan)), eplb.ArgumentError, "no whole numbers"),
    (dict(windows=np.full((2, 256), 2**64 - 1, np.uint64)), eplb.ArgumentError, "beyond int64"),
    (dict(windows=np.full((2, 256), 2**60)), eplb.LoadError, "more than"),
    (dict(windows=np.zeros(256)), eplb.ArgumentError, "windows has 1 dimensions, allowed are 2 or 3"),
    (dict(windows=np.zeros((0, 2, 256))), eplb.PolicyError, "no load window"),
    (dict(windows=np.zeros((1, 0, 256))), eplb.ModelError, "layers is 0"),
    (dict(windows=[["a"]]), eplb.ArgumentError, "windows has values of <U1"),
]


@pytest.mark.parametrize("changes, kind, message", REFUSED)
def test_bad_requests_are_refused_by_name(changes, kind, message):
    arguments = {"windows": v3_loads()[:2], "topology": V3, **changes}
    with pytest.raises(kind) as refused:
        eplb.plan(**arguments)
    assert message in str(refused.value)


TOPOLOGIES = [
    ((0, 1), "no live rank"),
    ((2, 0), "rank 0 has no slot"),
    ((2**31, 1), "2147483648 ranks"),
    ((4, 2, 3), "4 ranks do not divide over 3 nodes"),
    ((4, 2, 0), "4 ranks do not divide over 0 nodes"),
    ((4, [1, 2]), "slots_per_rank has 2 entries"),
    ((2, 2, [0, 2]), "no rank stands on node 1"),
]


@pytest.mark.parametrize("arguments, message", TOPOLOGIES)
def test_bad_topologies_are_refused(arguments, message):
    with pytest.raises(ValueError) as refused:
        eplb.Topology(*arguments)
    assert message in str(refused.value) and isinstance(refused.value, eplb.Error)


@pytest.mark.parametrize("options", [dict(dead=[9]), dict(joining=[9]), dict(speeds=[1]), dict(speeds=[0, 1])])
def test_bad_options_of_topologies_are_refused(options):
    with pytest.raises(eplb.Error):
        eplb.Topology(2, 2, **options)


def test_the_lock_is_released_while_a_plan_is_made():
    loads = np.stack([v3_loads(seed) for seed in range(8)])
    counted, ends = [], threading.Event()

    def count():
        while not ends.is_set():
            counted.append(time.perf_counter())

    thread = threading.Thread(target=count)
    thread.start()
    started = time.perf_counter()
    eplb.plan(loads, V3, policy="robust")
    ended = time.perf_counter()
    ends.set()
    thread.join()
    # Without the lock released the other thread would stand still for all of it.
    during = [moment for moment in counted if started + 0.02 < moment < ended - 0.02]
    assert ended - started > 0.06, "too short to tell"
    assert len(during) > 100


def test_ten_thousand_calls_leave_no_memory_behind():
    weight = np.array([[8, 4, 2, 1]] * 16)
    topology = eplb.Topology(3, 2)

    def calls(count):
        for _ in range(count):
            eplb.rebalance_experts(weight, 6, 1, 1, 3)
            eplb.plan(weight, topology, policy="deepseek")
            try:
                eplb.rebalance_experts(weight, 5, 1, 1, 3)
            except eplb.PolicyError:
                pass

    calls(1000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    calls(10_000)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    # The arrays of a call are about 4 kB: a tenth of them kept would show.
    assert grown < 4_000, f"{grown} kB more"


TRACE = ROOT / "configs/traces/v3like_abrupt_w120.npz"


def test_traces_are_read_written_and_read_again(tmp_path):
    trace = eplb.Trace.read(TRACE)
    assert trace.counts.shape == (120, 11, 256) and trace.counts.dtype == np.int64
    with np.load(TRACE) as archive:
        np.testing.assert_array_equal(trace.counts, archive["counts"])
        assert trace.top_k == int(archive["top_k"])
    trace.write(tmp_path / "again.npz")
    again = eplb.Trace.read(tmp_path / "again.npz")
    np.testing.assert_array_equal(again.counts, trace.counts)
    for key in ("top_k", "tokens_per_window", "groups", "model", "schedule"):
        assert getattr(again, key) == getattr(trace, key), key
    trace.write(tmp_path / "counts.npy")
    np.testing.assert_array_equal(eplb.Trace.read(tmp_path / "counts.npy").counts, trace.counts)
    (tmp_path / "counts.json").write_text(json.dumps({"logical_count": trace.counts[0].tolist()}))
    np.testing.assert_array_equal(eplb.Trace.read(tmp_path / "counts.json").counts[0], trace.counts[0])


def test_files_that_are_no_traces_are_refused(tmp_path):
    for name, write in [
        ("float.npy", lambda path: np.save(path, np.full((2, 3), 0.5))),
        ("flat.npy", lambda path: np.save(path, np.arange(3))),
        ("short.npz", lambda path: path.write_bytes(b"PK")),
        ("text.json", lambda path: path.write_text("[[1, 2], [3]]")),
        ("other.txt", lambda path: path.write_text("1")),
    ]:
        write(tmp_path / name)
        with pytest.raises(eplb.TraceError, match=name) as refused:
            eplb.Trace.read(tmp_path / name)
        assert refused.value.code == 80
    with pytest.raises(eplb.TraceError, match="missing.npy"):
        eplb.Trace.read(tmp_path / "missing.npy")
    with pytest.raises(eplb.TraceError, match="allowed are .npz and .npy"):
        eplb.Trace(np.ones((2, 2))).write(tmp_path / "trace.csv")


@pytest.mark.parametrize("form", ["sglang", "vllm_ascend"])
def test_placements_are_written_for_other_engines_and_read_again(tmp_path, form):
    table = eplb.plan(v3_loads(), V3, policy="deepseek", groups=8).physical_to_logical_map
    path = tmp_path / "placement.json"
    eplb.write_placement(path, table, experts=256, topology=V3, form=form)
    found = eplb.read_placement(path, layers=58, experts=256, topology=V3)
    np.testing.assert_array_equal(found, table)
    assert ("layer_list" in json.loads(path.read_text())) == (form == "vllm_ascend")
    with pytest.raises(eplb.PlacementError):
        eplb.read_placement(path, layers=57, experts=256, topology=V3)
    with pytest.raises(eplb.ArgumentError, match='form is "trt"'):
        eplb.write_placement(path, table, experts=256, topology=V3, form="trt")


def test_policies_are_simulated_on_a_trace():
    trace = eplb.Trace.read(TRACE)
    trace.counts = trace.counts[:6, :3]
    result = eplb.simulate(trace, V3, ["static", "deepseek", {"name": "robust"}], expert_bytes=1000)
    static, deepseek, robust = result.policies
    assert [score.policy for score in result.policies] == ["static", "deepseek", "robust"]
    assert static.moved_slots == 0 and deepseek.bytes_moved == deepseek.moved_slots * 1000
    assert static.next.mean < robust.next.mean <= result.limit.mean <= 1
    assert deepseek.fit.mean > static.fit.mean and result.oracle.mean > 0.9
    with pytest.raises(eplb.ArgumentError, match="at least two windows"):
        eplb.simulate(trace.counts[:1], V3)
    with pytest.raises(eplb.ArgumentError, match="estimator"):
        eplb.simulate(trace, V3, estimator="best")
    with pytest.raises(eplb.ArgumentError, match="policies is a text"):
        eplb.simulate(trace, V3, "robust")
