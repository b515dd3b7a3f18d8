"""Entry of ci/bench-peers: reads the loads, runs the rounds, prints the tables."""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(os.environ.get("EPLB_ROOT", "."))


def arguments():
    parser = argparse.ArgumentParser(
        prog="ci/bench-peers",
        description="Times and scores other engines' planning policies beside ours, on the same loads.",
    )
    parser.add_argument(
        "loads",
        nargs="*",
        type=Path,
        metavar="LOADS",
        help=".npz with `counts`, or .npy, [windows, layers, experts]; without any, those of ../shared/data, "
        "else configs/traces",
    )
    parser.add_argument("--ranks", type=int, metavar="N", help="one for each 8 experts unless given")
    parser.add_argument("--slots", type=int, metavar="P", help="one redundant one a rank unless given")
    parser.add_argument("--nodes", type=int, metavar="M", default=1)
    parser.add_argument("--windows", type=int, metavar="N", default=61, help="first N windows (61)")
    parser.add_argument("--rounds", type=int, metavar="N", default=3, help="rounds, at least 1 (3)")
    parser.add_argument("--threads", type=int, metavar="N", default=1, help="threads of each (1)")
    parser.add_argument(
        "--ours",
        default="greedy,robust,greedy-fast,deepseek",
        metavar="NAMES",
        help="our policies; times are set against the first two (greedy,robust,greedy-fast,deepseek)",
    )
    parser.add_argument(
        "--require",
        action="append",
        default=[],
        metavar="NAME",
        help="a package or policy that must be there; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser.parse_args()


def main():
    given = arguments()
    import problems
    import report
    import rounds

    rounds.check_names(given.require)
    loads = [path.resolve() for path in given.loads] or problems.default_files(ROOT)
    found = [problems.read(path, given) for path in loads]
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for problem in found:
            results.append(rounds.run(problem, given, folder))
    if given.json:
        json.dump(report.as_object(results), sys.stdout)
        print()
    else:
        print(report.as_tables(results))


if __name__ == "__main__":
    main()
