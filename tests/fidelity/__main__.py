"""Put our kubelet through the faults upstream's was recorded under, and compare.

    python -m tests.fidelity                    every fault (about 25 minutes)
    python -m tests.fidelity pod-crash cni-*    some, by shell patterns
    --json FILE                                 the comparison for programs, recordings included
    --keep                                      leave the nodes running

Exit code 1 when a goal is missed. A fault that could not be made or undone counts as missing everything.
"""

import argparse
import fnmatch
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cka_kubelet.providers.container import ContainerProvider
from tests.fidelity.comparing import Differences, compare, paces
from tests.fidelity.node import FaultyNode
from tests.fidelity.report import Outcome, below_goal, table, totals

HERE = Path(__file__).parent
EXPECTED = HERE / "upstream-1.36"
DIFFERENCES = HERE / "differences.json"


def chosen(patterns: Sequence[str]) -> list[str]:
    """Names of the faults that match a pattern, all without one. Raises SystemExit where a pattern matches none."""
    names = sorted(path.stem for path in EXPECTED.glob("*.json"))
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise SystemExit(f"no fault is called {pattern!r}; there are: {' '.join(names)}")
    return [name for name in names if not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns)]


def put_through(node: FaultyNode, name: str, differences: Differences) -> tuple[Outcome, dict[str, Any]]:
    """One fault: a healthy start, the fault, the comparison. Returns the outcome and what was recorded."""
    expected = json.loads((EXPECTED / f"{name}.json").read_text())
    node.start_healthy()
    found = node.observe(expected["fault"], expected["watched_s"])
    outcome = Outcome(name, compare(name, expected, found, differences), paces(expected, found, differences))
    return outcome, found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fidelity", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("faults", nargs="*", metavar="FAULT", help="names or shell patterns; all without")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the comparison there")
    parser.add_argument("--keep", action="store_true", help="leave the nodes running; take running ones")
    options = parser.parse_args()
    names = chosen(options.faults)
    differences = Differences.load(json.loads(DIFFERENCES.read_text()))
    provider = ContainerProvider()
    cluster = next(iter(provider.existing()), None) if options.keep else None
    cluster = cluster or provider.acquire(lambda phase, detail: print(f"{phase}: {detail}", flush=True))
    node = FaultyNode(cluster)
    outcomes: list[Outcome] = []
    documents: list[dict[str, Any]] = []
    try:
        for name in names:
            outcome, found = put_through(node, name, differences)
            outcomes.append(outcome)
            documents.append({**outcome.document(), "recorded": found})
            print(outcome.text(), flush=True)
            if options.json:
                options.json.write_text(json.dumps(documents, indent=1))
    finally:
        if options.keep:
            node.give_back()
        else:
            cluster.destroy()
    print("\n" + table(outcomes))
    missed = below_goal(totals(outcomes))
    print("below the goal: " + ", ".join(missed) if missed else "every goal is met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
