"""Our policies, through the release binary."""

import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np

import placement

EPLB = os.environ.get("EPLB_BINARY", "eplb")


def run(*arguments):
    """What `eplb ARGUMENTS --json` says."""
    command = [EPLB, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"bench-peers: {' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def version():
    done = subprocess.run([EPLB, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()[-1]


def shape(problem):
    return (
        f"--ranks={problem.ranks}",
        f"--slots={problem.slots}",
        f"--nodes={problem.nodes}",
        f"--groups={problem.groups}",
    )


def bench(problem, policies, threads, folder, windows=None):
    """Scores and times of `policies` by name."""
    path = Path(folder) / f"{problem.name}.npy"
    np.save(path, problem.windows[:windows])
    report = run(
        "bench", "plan", path, f"--policy={','.join(policies)}", f"--threads={threads}", *shape(problem)
    )
    return {score["policy"]: score for score in report["loads"][0]["policies"]}


def check_scorer(problem, policy, windows):
    """Replays `policy` plan by plan and compares the scores of placement.py with the binary's own:
    balancedness of every plan, experts sent, and the means over the whole replay."""
    windows = min(windows, len(problem.windows))
    present, fit, following, sent = problem.start(), [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        whole = bench(problem, [policy], 1, folder, windows)[policy]
        for window in range(windows - 1):
            load, state = Path(folder) / "window.npy", Path(folder) / "present.json"
            np.save(load, problem.windows[window])
            state.write_text(json.dumps({"physical_to_logical_map": present.tolist()}))
            plan = run(
                "plan", f"--load={load}", f"--placement={state}", f"--policy={policy}", *shape(problem)
            )
            planned = np.array(plan["physical_to_logical_map"])
            before = placement.balancedness(present, problem.windows[window], problem.ranks)
            after = placement.balancedness(planned, problem.windows[window], problem.ranks)
            moved = placement.sent_experts(present, planned, problem.ranks)
            for what, ours, theirs in [
                ("balancedness before", np.mean(before), plan["balancedness_before"]["mean"]),
                ("balancedness", np.mean(after), plan["balancedness"]["mean"]),
                ("worst layer", min(after), plan["balancedness"]["worst"]),
                ("experts sent", moved, plan["moved_slots"]),
            ]:
                compare(problem, policy, f"window {window}: {what}", ours, theirs)
            fit += after
            following += placement.balancedness(planned, problem.windows[window + 1], problem.ranks)
            sent += moved
            present = planned
    for what, ours, theirs in [
        ("same window", np.mean(fit), whole["fit"]["mean"]),
        ("next window", np.mean(following), whole["next"]["mean"]),
        ("worst next window", min(following), whole["next"]["worst"]),
        ("experts sent", sent / (windows - 1), whole["sent_experts"]),
    ]:
        compare(problem, policy, what, ours, theirs)


def compare(problem, policy, what, ours, theirs):
    if abs(ours - theirs) > 1e-9:
        raise SystemExit(
            f"bench-peers: {problem.name}, {policy}, {what}: the scorer says {ours}, eplb says {theirs}"
        )
