"""The referee's verdict as Markdown."""

from collections.abc import Sequence

from benchmarks.page import table, verdicts
from benchmarks.remittances.score import Tally, summed
from benchmarks.remittances.trial import Trial
from benchmarks.targets import Verdict, judged

HEADINGS = (
    *("", "payments", "clerk could", "matched", "false", "to look at", "right reason", "right decision"),
    *("proposed", "first", "in three"),
)


def lines(trials: Sequence[Trial]) -> list[str]:
    """Targets first, then every fate over all seeds, then what is wrong."""
    fates: dict[str, list[Tally]] = {}
    for trial in trials:
        for fate, tally in trial.score.fates.items():
            fates.setdefault(fate, []).append(tally)
    rows = [_row(fate, summed(tallies)) for fate, tallies in sorted(fates.items())]
    return [
        *_about(trials),
        "",
        *verdicts(_verdicts(trials)),
        "",
        *table(HEADINGS, [_row("all", summed([trial.score.all for trial in trials])), *rows]),
        *_wrong(trials),
    ]


def _row(name: str, tally: Tally) -> list[str]:
    figures: tuple[int, ...] = (tally.payments, tally.clerk, tally.matched, tally.false)
    figures += (tally.looks, tally.looks_right)
    figures += (tally.decided_right, tally.proposed, tally.first, tally.in_three)
    return [name, *(f"{figure:,}" for figure in figures)]


def _about(trials: Sequence[Trial]) -> list[str]:
    claims = sum(len(trial.case.world.claims) for trial in trials)
    payments = sum(trial.score.all.payments for trial in trials)
    server, cluster = (sum(getattr(trial, name) for trial in trials) for name in ("server_cpu", "postgres_cpu"))
    cpu = [f"{1e6 * used / payments:,.0f} µs" for used in (server, cluster)]
    seeds = ", ".join(str(trial.case.world.seed) for trial in trials)
    return [
        f"- seeds {seeds}: {claims:,} claims, {sum(len(trial.case.files) for trial in trials):,} files",
        f"- CPU a claim payment, delivered to settled: server {cpu[0]}, PostgreSQL {cpu[1]}",
        *(f"- seed {trial.case.world.seed}: {_money(trial.score.money)}" for trial in trials),
    ]


def _money(sums: dict[str, int]) -> str:
    told = {name: f"{cents // 100:,}.{cents % 100:02}" for name, cents in sums.items()}
    return "{received} received = {posted} posted + {suspended} in suspense + {quarantined} quarantined".format(
        **told
    )


def _verdicts(trials: Sequence[Trial]) -> list[Verdict]:
    every = summed([trial.score.all for trial in trials])
    false_cents = sum(trial.score.false_cents for trial in trials)
    untied = sum(len(trial.score.untied) for trial in trials)
    troubles = sum(len(trial.troubles) for trial in trials)
    return [
        _none("false automatic postings", every.false),
        _none("cents posted falsely", false_cents),
        judged("matched, of what a careful clerk could", 99, _percent(every.matched, every.clerk), unit="%"),
        judged("right exception reason", 98, _percent(every.looks_right, every.looks), unit="%"),
        *_of_proposals(summed([trial.score.damaged for trial in trials])),
        _none("sums that do not tie: files, accounts, clearing accounts, deposits", untied),
        _none("troubles of replays, shuffles, deliveries at once and reports that do not tie", troubles),
    ]


def _of_proposals(damaged: Tally) -> list[Verdict]:
    """Where nobody can tell the claim because its id was damaged, a person looks at what is proposed."""
    first, in_three = _percent(damaged.first, damaged.proposed), _percent(damaged.in_three, damaged.proposed)
    return [
        judged("right claim proposed first, damaged ids", 90, first, unit="%"),
        judged("right claim in the first three proposals, damaged ids", 98, in_three, unit="%"),
    ]


def _none(what: str, found: int) -> Verdict:
    return Verdict(what, "0", f"{found:,}", met=found == 0)


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 100


def _wrong(trials: Sequence[Trial]) -> list[str]:
    told = []
    for trial in trials:
        seed = trial.case.world.seed
        told += [
            f"- seed {seed}: {what}"
            for what in (*trial.score.wrong, *trial.score.untied[:20], *trial.troubles[:20])
        ]
        told += [
            f"- seed {seed}: {count} × expected {what}" for what, count in trial.score.confused.most_common(20)
        ]
    return ["", *told] if told else []
