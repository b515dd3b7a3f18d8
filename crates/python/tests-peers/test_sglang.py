"""The algorithm entry for SGLang, in the published module that SGLang calls."""

import importlib.metadata
import inspect

import peer_modules
import pytest
import torch
from shared import v3_loads

import eplb

SGLANG = peer_modules.sglang()

from eplb.integrations import sglang as adapter  # noqa: E402

SIZES = dict(num_physical_experts=288, num_local_physical_experts=9, num_groups=8, num_nodes=4)


@pytest.fixture
def original():
    held = SGLANG.rebalance_experts
    yield held
    SGLANG.rebalance_experts = held


def steps(count=100):
    return torch.stack([torch.from_numpy(v3_loads(0)) // count for _ in range(count)])


def algorithm(name="auto"):
    return SGLANG.compute_algorithm(name, num_groups=8, num_nodes=4)


def test_it_is_tested_on_the_published_package():
    print("sglang", importlib.metadata.version("sglang"), inspect.getfile(SGLANG))
    assert "site-packages/sglang/srt/eplb/eplb_algorithms" in inspect.getfile(SGLANG)


def test_its_arguments_are_those_of_sglang(original):
    assert list(inspect.signature(adapter.Algorithm()).parameters) == list(
        inspect.signature(original).parameters
    )


def test_deepseek_gives_the_references_maps_in_sglangs_place(original):
    theirs = original(steps(), **SIZES, algorithm=algorithm())
    adapter.install("deepseek")
    ours = SGLANG.rebalance_experts(steps(), **SIZES, algorithm=algorithm())
    for found, wanted in zip(ours, theirs):
        assert (found.dtype, found.device, found.shape) == (wanted.dtype, wanted.device, wanted.shape)
    assert torch.equal(ours[2], theirs[2])
    wanted = eplb.rebalance_experts(steps().sum(0), 288, 8, 4, 32)
    assert torch.equal(ours[0], wanted[0])


@pytest.mark.parametrize("policy", ["robust", "deepseek"])
def test_maps_belong_together(original, policy):
    table, slots, counts = adapter.install(policy)(steps(), **SIZES, algorithm=algorithm())
    assert table.shape == (58, 288) and counts.shape == (58, 256) and slots.shape[:2] == (58, 256)
    for layer in (0, 57):
        for expert in range(256):
            held = slots[layer, expert]
            held = held[held >= 0]
            assert len(held) == counts[layer, expert] >= 1
            assert (table[layer, held] == expert).all()


def test_the_next_plan_starts_from_the_last_one(original):
    plan = adapter.install()
    first = plan(steps(), **SIZES, algorithm=algorithm())[0]
    again = plan(steps(), **SIZES, algorithm=algorithm())[0]
    changed = int((first != again).sum())
    assert changed < 58 * 288 / 20, changed
    plan.forget()
    assert torch.equal(plan(steps(), **SIZES, algorithm=algorithm())[0], first)


def test_ranks_that_are_not_active_take_no_replica(original, monkeypatch):
    import sys
    import types

    active = torch.ones(32, dtype=torch.int32)
    active[5] = 0
    manager = types.SimpleNamespace(active_ranks=active)
    module = types.ModuleType("sglang.srt.elastic_ep.elastic_ep")
    module.ElasticEPStateManager = types.SimpleNamespace(instance=lambda: manager)
    monkeypatch.setitem(sys.modules, "sglang.srt.elastic_ep", types.ModuleType("sglang.srt.elastic_ep"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    sizes = dict(SIZES, num_physical_experts=320, num_local_physical_experts=10)
    _, slots, counts = adapter.Algorithm()(steps(), **sizes, algorithm=algorithm("elasticity_aware"))
    dead = (slots >= 50) & (slots < 60)
    assert not dead.any()
    assert (counts >= 1).all()


def test_models_without_groups_and_single_counts_are_planned(original):
    sizes = dict(SIZES, num_groups=None, num_nodes=3)
    table, *_ = adapter.Algorithm("deepseek")(steps()[0], **sizes)
    assert table.shape == (58, 288)
