"""Rounds: all peers in turn, window by window, then ours on the same loads; and again."""

import statistics
import sys

import numpy as np

import ours
import peers
import placement

# Our policy, and the windows, that the scorer is checked with.
CHECKED_POLICY, CHECKED_WINDOWS = "deepseek", 6


class Result:
    """What a policy did on a load."""

    def __init__(self, policy, package, version):
        self.policy, self.package, self.version = policy, package, version
        # Why there is nothing else.
        self.reason = None
        # Medians of the rounds, in milliseconds, and each over those of two of ours.
        self.milliseconds, self.ratios = [], {}
        self.fit = self.next = self.sent = None
        # Windows that it made no plan for, and what it said of the last one.
        self.failed_plans, self.failure = 0, None

    def why_no_numbers(self):
        if self.reason or self.milliseconds:
            return self.reason
        return f"failed: {self.failure}"


def run(problem, given, folder):
    """The problem and a result for each policy."""
    say(f"{problem.name}: scorer against eplb")
    ours.check_scorer(problem, CHECKED_POLICY, CHECKED_WINDOWS)
    names = given.ours.split(",")
    ours_version = ours.version()
    # The results of a policy and, where it has one, of the bare function below it.
    our_results = {}
    peer_results = {kind: Result(kind.name, kind.package, "") for kind in peers.ALL}
    limit_threads(given.threads)
    for kind, result in peer_results.items():
        try_out(kind, problem, result)
        refuse(given.require, kind, result.reason)
    running = [kind for kind, result in peer_results.items() if result.reason is None]
    for number in range(max(given.rounds, 1)):
        say(f"{problem.name}: round {number + 1} of {given.rounds}")
        times = peer_round(problem, running, peer_results, scored=number == 0)
        scores = ours.bench(problem, names, given.threads, folder)
        bases = {name: scores[name]["plan_ms"][0]["p50"] for name in names[:2]}
        if "tables_ms" in scores[names[0]]:
            bases[f"{names[0]} tables"] = scores[names[0]]["tables_ms"][0]["p50"]
        for name in names:
            score = scores[name]
            for key, label in [("plan_ms", f"eplb {name}"), ("tables_ms", f"eplb {name}, tables only")]:
                if key in score:
                    result = our_results.setdefault(label, Result(label, "eplb", ours_version))
                    result.fit, result.next = score["fit"]["mean"], score["next"]["mean"]
                    result.sent = score["sent_experts"]
                    add_time(result, score[key][0]["p50"], bases)
        for kind in running:
            if times[kind]:
                add_time(peer_results[kind], statistics.median(times[kind]), bases)
    for kind, result in peer_results.items():
        refuse(given.require, kind, result.why_no_numbers())
    return problem, [*our_results.values(), *peer_results.values()]


def say(text):
    print(f"bench-peers: {text}", file=sys.stderr, flush=True)


def limit_threads(threads):
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)


def add_time(result, milliseconds, bases):
    result.milliseconds.append(milliseconds)
    for name, base in bases.items():
        result.ratios.setdefault(name, []).append(milliseconds / base)


def try_out(kind, problem, result):
    """Plans once, untimed: what is compiled on first use is compiled now, and what can't be started says
    why."""
    try:
        policy = kind(problem)
        result.version = kind.version()
    except (peers.NotInstalled, ImportError) as error:
        result.reason = f"not installed: {error}"
    except Exception as error:  # A peer may fail in any way; the table says how.
        result.reason = f"failed to start: {type(error).__name__}: {error}"
    else:
        try:
            policy.plan(0, problem.start())
        except ImportError as error:
            result.reason = f"not installed: {error}"
        except Exception:  # It will say so again in the rounds, where it is counted.
            pass


def check_names(required):
    known = {name for kind in peers.ALL for name in (kind.package, kind.name)}
    for name in required:
        if name not in known:
            allowed = ", ".join(sorted(known))
            raise SystemExit(f"bench-peers: --require {name} is not allowed; allowed: {allowed}")


def refuse(required, kind, reason):
    """Ends the run if there is a reason against a peer that is required."""
    if reason and {kind.package, kind.name} & set(required):
        raise SystemExit(f"bench-peers: {kind.name} is required: {reason}")


def peer_round(problem, kinds, results, scored):
    """Milliseconds of each plan by policy; scores the plans too if `scored`."""
    policies = {kind: kind(problem) for kind in kinds}
    present = {kind: problem.start() for kind in kinds}
    times = {kind: [] for kind in kinds}
    fit = {kind: [] for kind in kinds}
    following = {kind: [] for kind in kinds}
    sent = dict.fromkeys(kinds, 0)
    rebalances = len(problem.windows) - 1
    for window in range(rebalances):
        for kind, policy in policies.items():
            before = planned = present[kind]
            try:
                planned, milliseconds = policy.plan(window, before.copy())
                placement.check(planned, problem.experts)
            except Exception as error:  # It may fail in any way; what stands then stays.
                planned = before
                if scored:
                    results[kind].failed_plans += 1
                    results[kind].failure = f"{type(error).__name__}: {error}"
            else:
                times[kind].append(milliseconds)
            present[kind] = planned
            if scored:
                seen, coming = problem.windows[window], problem.windows[window + 1]
                fit[kind] += placement.balancedness(planned, seen, problem.ranks)
                following[kind] += placement.balancedness(planned, coming, problem.ranks)
                sent[kind] += placement.sent_experts(before, planned, problem.ranks)
    if scored:
        for kind in kinds:
            result = results[kind]
            result.fit, result.next = float(np.mean(fit[kind])), float(np.mean(following[kind]))
            result.sent = sent[kind] / rebalances
    return times
