"""The results as tables for people and as one object for programs."""

import statistics


def as_object(results):
    loads = []
    for problem, policies in results:
        rows = []
        for result in policies:
            row = {"policy": result.policy, "package": result.package, "version": result.version}
            reason = result.why_no_numbers()
            if reason:
                row["reason"] = reason
            else:
                row["failed_plans"], row["failure"] = result.failed_plans, result.failure
                row["plan_ms"] = statistics.median(result.milliseconds)
                row["plan_ms_rounds"] = result.milliseconds
                row["ratios"] = {name: statistics.median(all_) for name, all_ in result.ratios.items()}
                row["fit"], row["next"], row["sent_experts"] = result.fit, result.next, result.sent
            rows.append(row)
        loads.append(
            {
                "load": problem.name,
                "windows": len(problem.windows),
                "layers": problem.layers,
                "experts": problem.experts,
                "groups": problem.groups,
                "ranks": problem.ranks,
                "nodes": problem.nodes,
                "slots": problem.slots,
                "policies": rows,
            }
        )
    return {"loads": loads}


LEGEND = """
plan ms is the median of the rounds' medians; / NAME is that over our policy's in the same round. Same and
next window are balancedness (mean rank load / max rank load); sent are experts a rebalance. A plan of ours
checks the request, keeps slots and tells what it gains; tables only is the bare function below it, which
the peers' functions are to be compared with."""


def as_tables(results):
    return "\n\n".join(table(problem, policies) for problem, policies in results) + "\n" + LEGEND


def table(problem, policies):
    bases = [name for result in policies for name in result.ratios]
    bases = list(dict.fromkeys(bases))
    header = ["policy", "version", "plan ms", *(f"/ {name}" for name in bases)]
    header += ["same window", "next window", "sent"]
    rows, reasons = [header], {}
    for result in policies:
        reason = result.why_no_numbers()
        if reason:
            rows.append([result.policy, result.version or "-"])
            reasons[len(rows) - 1] = reason
            continue
        if result.failed_plans:
            reasons[len(rows)] = f"{result.failed_plans} plans failed: {result.failure}"
        ratios = [f"{statistics.median(result.ratios[name]):.2f}" for name in bases]
        milliseconds = f"{statistics.median(result.milliseconds):.2f}"
        quality = [f"{result.fit:.3f}", f"{result.next:.3f}", f"{result.sent:.1f}"]
        rows.append([result.policy, result.version, milliseconds, *ratios, *quality])
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(len(header))]
    lines = [
        f"{problem.name}: {problem.layers} layers x {problem.experts} experts on {problem.ranks} ranks with "
        f"{problem.slots} slots, {len(problem.windows) - 1} rebalances"
    ]
    for number, row in enumerate(rows):
        columns = enumerate(zip(row, widths))
        cells = [text.ljust(width) if at < 2 else text.rjust(width) for at, (text, width) in columns]
        lines.append(("  ".join(cells) + "  " + reasons.get(number, "")).rstrip())
    return "\n".join(lines)
