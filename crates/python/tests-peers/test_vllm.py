"""The policy for vLLM, on the published package's own base class, registry and default policy."""

import importlib.metadata
import inspect

import peer_modules
import pytest
import torch
from shared import v3_loads

import eplb

VLLM = peer_modules.vllm()

from eplb.integrations import vllm as adapter  # noqa: E402

SIZES = dict(num_replicas=288, num_groups=8, num_nodes=4, num_ranks=32)


@pytest.fixture
def default_policy():
    held = VLLM.EPLB_POLICIES["default"]
    yield held
    VLLM.EPLB_POLICIES["default"] = held


def loads(seed=0, dtype=torch.float32):
    return torch.from_numpy(v3_loads(seed)).to(dtype)


def test_it_is_tested_on_the_published_package():
    print("vllm", importlib.metadata.version("vllm"), inspect.getfile(VLLM.AbstractEplbPolicy))
    assert "site-packages/vllm/distributed/eplb/policy" in inspect.getfile(VLLM.AbstractEplbPolicy)


def test_its_signature_is_that_of_the_base_class():
    ours = inspect.signature(adapter.EplbPolicy.rebalance_experts)
    theirs = inspect.signature(VLLM.AbstractEplbPolicy.rebalance_experts)
    assert list(ours.parameters) == list(theirs.parameters)
    assert not inspect.isabstract(adapter.EplbPolicy)
    assert issubclass(adapter.EplbPolicy, VLLM.AbstractEplbPolicy)


def test_it_takes_the_place_of_the_default_policy(default_policy):
    installed = adapter.install("deepseek")
    assert VLLM.EPLB_POLICIES["default"] is installed
    table = VLLM.EPLB_POLICIES["default"].rebalance_experts(loads(), **SIZES)
    assert torch.equal(table, eplb.rebalance_experts(loads(), 288, 8, 4, 32)[0])


@pytest.mark.parametrize("policy", ["robust", "deepseek"])
@pytest.mark.parametrize("with_present", [False, True])
def test_tables_are_what_vllm_expects(default_policy, policy, with_present):
    present = default_policy.rebalance_experts(loads(1), **SIZES) if with_present else None
    theirs = default_policy.rebalance_experts(loads(), **SIZES, old_global_expert_indices=present)
    table = adapter.install(policy).rebalance_experts(loads(), **SIZES, old_global_expert_indices=present)
    assert (table.shape, table.dtype, table.device) == (theirs.shape, theirs.dtype, theirs.device)
    for row in table:
        assert torch.equal(row.unique(), torch.arange(256))


def rank_balance(table, weight):
    """Mean rank load / max rank load, replicas sharing evenly."""
    replicas = torch.zeros_like(weight).scatter_add_(1, table, torch.ones_like(table, dtype=weight.dtype))
    ranks = (weight / replicas).gather(1, table).view(len(table), 32, -1).sum(-1)
    return (ranks.mean(1) / ranks.max(1).values).mean().item()


def moved(before, after):
    """Slots whose rank did not hold their expert."""
    before, after = before.view(58, 32, -1), after.view(58, 32, -1)
    return int((~(after[..., :, None] == before[..., None, :]).any(-1)).sum())


def test_it_balances_as_well_and_moves_less_than_vllms_own(default_policy):
    weight = loads(0, torch.float64)
    present = default_policy.rebalance_experts(weight, **SIZES)
    # The same traffic again, as another sample of it.
    again = torch.poisson(weight, generator=torch.Generator().manual_seed(7))
    theirs = default_policy.rebalance_experts(again, **SIZES, old_global_expert_indices=present)
    ours = adapter.install().rebalance_experts(again, **SIZES, old_global_expert_indices=present)
    print(f"moved: vllm {moved(present, theirs)}, eplb {moved(present, ours)} of {58 * 288} slots")
    assert moved(present, ours) < moved(present, theirs) / 4
    assert rank_balance(ours, again) > rank_balance(theirs, again) - 0.02


def test_another_number_of_ranks_plans_anew():
    present = torch.arange(256).repeat(58, 1)
    table = adapter.EplbPolicy.rebalance_experts(loads(), **SIZES, old_global_expert_indices=present)
    assert table.shape == (58, 288)


def test_bad_sizes_are_refused():
    with pytest.raises(eplb.ArgumentError, match="num_replicas is 287"):
        adapter.EplbPolicy.rebalance_experts(loads(), 287, 8, 4, 32)
    with pytest.raises(eplb.LoadError, match="windows"):
        adapter.EplbPolicy.rebalance_experts(-loads(), **SIZES)
