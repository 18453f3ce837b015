"""`python -m benchmarks bench`, `growth`, `proof` or `pay-cycle`."""

import argparse
import shlex
import signal
import sys
from pathlib import Path

from benchmarks import bench, growth, page, pay_cycle, proof, reports
from benchmarks.cases import CASES
from benchmarks.processes import BenchFailed

_RUNS = {
    "bench": bench.run,
    "growth": growth.run,
    "proof": proof.run,
    "pay-cycle": pay_cycle.run,
    "reports": reports.run,
}
_COMMANDS = {name: "make bench" if name == "bench" else f"make bench-{name}" for name in _RUNS}


def main() -> int:
    """Runs what is asked for, prints its table, and writes it into the page."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that PostgreSQL is stopped then, too
    given = shlex.join(sys.argv[1:])
    how = _COMMANDS[asked.what] if given in _COMMANDS else f"python -m benchmarks {given}"
    try:
        lines = _RUNS[asked.what](asked, how)
    except BenchFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    print("\n".join(lines))
    whole = not (asked.only or asked.quick)
    if target := asked.output or (page.PAGE if whole else None):
        page.put(target, asked.what, lines)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("what", choices=_RUNS)
    parser.add_argument("--rounds", type=int, default=3, help="how often each case is measured; medians count")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same accounts")
    parser.add_argument("--quick", action="store_true", help="a few entries a case: to see that it runs")
    parser.add_argument("--only", nargs="*", choices=CASES, help="these cases of bench; RESULTS.md stays as it is")
    parser.add_argument("--output", type=Path, help="the page to write; a full run writes benchmarks/RESULTS.md")
    parser.add_argument("--folder", type=Path, help="where the database lies: a real disk, or fsync costs nothing")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
