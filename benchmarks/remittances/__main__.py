"""`python -m benchmarks.remittances`: plays payers against the service, and says how well it did."""

import argparse
import signal
import sys
from dataclasses import fields

from benchmarks import page
from benchmarks.processes import BenchFailed
from benchmarks.remittances import table
from benchmarks.remittances.key import case, write
from benchmarks.remittances.rates import Rates
from benchmarks.remittances.trial import options, placed, tried


def main() -> int:
    """Judges, prints the table, and fails where anything was posted falsely or a cent does not tie."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that PostgreSQL is stopped then, too
    rates = Rates(**{field.name: getattr(asked, field.name) for field in fields(Rates)})
    cases = (case(seed, asked.claims, rates, asked.size, asked.payers) for seed in asked.seeds)
    if asked.write:
        for found in cases:
            write(found, asked.write / f"seed-{found.world.seed}")
        return 0
    try:
        with placed(asked.folder) as place:
            trials = [tried(place, found, asked.shuffles) for found in cases]
    except BenchFailed as failed:
        print(failed, file=sys.stderr)
        return 1
    lines = table.lines(trials)
    print("\n".join(lines))
    if asked.output:
        page.put(asked.output, "remittances", lines)
    return 0 if all(trial.passed for trial in trials) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="remittances", description=__doc__)
    options(parser)
    rates = parser.add_argument_group("rates", "shares between 0 and 1")
    for field in fields(Rates):
        rates.add_argument(f"--{field.name.replace('_', '-')}", type=float, default=field.default, metavar="SHARE")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
