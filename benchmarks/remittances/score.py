"""What the service decided against what is right: payment by payment, and the books to the cent."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.remittances.accountant import waiting
from benchmarks.remittances.answer import MONEY, Effect, Written
from benchmarks.remittances.books import CLEARING, Books, Entry
from benchmarks.remittances.key import Case
from benchmarks.remittances.mail import File, Remittance
from reconciliation.v1 import reconciliation_pb2 as pb

UNAPPLIED = "Liabilities:UnappliedCash"
_LEFT = {"SUSPENDED", "NOTED"}
"""Decisions that post to no claim."""
_MOST_TOLD = 20
_SHORT_LIST = 3
"""Proposals that a person reads before asking the payer."""
DAMAGED = "id "
"""How fates begin in which the claim's id was damaged."""


@dataclass
class Tally:
    """One fate: how many payments, what a clerk could, and what the service did."""

    payments: int = 0
    clerk: int = 0
    matched: int = 0
    """Of those that a clerk could match."""
    false: int = 0
    looks: int = 0
    """Payments that a person must look at, or was asked to."""
    looks_right: int = 0
    decided_right: int = 0
    proposed: int = 0
    """Payments for claims of ours that wait in suspense, so that a person asks for proposals."""
    first: int = 0
    """Those whose claim is proposed first, above every other."""
    in_three: int = 0


def summed(tallies: Sequence[Tally]) -> Tally:
    """Several together."""
    return Tally(*(sum(getattr(one, name) for one in tallies) for name in Tally.__dataclass_fields__))


@dataclass
class Score:
    """The whole of a book's score. `wrong` tells what is false, the first so many."""

    fates: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    false_cents: int = 0
    wrong: list[str] = field(default_factory=list)
    untied: list[str] = field(default_factory=list)
    confused: Counter[str] = field(default_factory=Counter)
    """Exception reasons that were expected and given, where they differ."""
    money: dict[str, int] = field(default_factory=dict)
    settled: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """What is right to have been added to each account, by the decisions that were taken."""

    @property
    def all(self) -> Tally:
        """The fates together."""
        return summed([*self.fates.values()])

    @property
    def damaged(self) -> Tally:
        """Those together in which the claim's id was missing, cut short, in other letters or garbled."""
        return summed([tally for fate, tally in self.fates.items() if fate.startswith(DAMAGED)])

    def tell(self, what: str) -> None:
        """Keeps a false posting for people to read."""
        if len(self.wrong) < _MOST_TOLD:
            self.wrong.append(what)


Delivered = list[tuple[File, pb.IngestRemittanceResponse]]
"""Files with their answers, in the order of delivery."""


def scored(case: Case, books: Books, delivered: Delivered) -> Score:
    """Everything, once the files have been delivered in their own order."""
    score, entries, looks = Score(), books.entries(), books.exceptions()
    for file, answer in delivered:
        for right, got in zip(file.remittances, answer.remittances, strict=True):
            if not file.again:
                _remittance(score, right, got, looks)
            if not file.again and right.state == "SETTLED":
                _payments(score, right, got, books, entries, looks)
                _add(score, right.effect, right)
    _tie_money(score, delivered)
    _tie_accounts(score, case, books, entries)
    _tie_deposits(score, case, books)
    return score


def _remittance(
    score: Score, right: Remittance, got: pb.Remittance, looks: Mapping[tuple[str, int], set[str]]
) -> None:
    """Its state and the reason for it."""
    tally = score.fates[f"remittance: {(right.look or right.state).lower().replace('_', ' ')}"]
    state = pb.RemittanceState.Name(got.state).removeprefix("REMITTANCE_STATE_")
    _look(score, tally, right.look, looks.get((got.id, 0), set()))
    tally.payments += 1
    tally.decided_right += state == right.state
    if state != right.state:
        score.untied.append(f"remittance {right.trace} is {state}, not {right.state}: {got.reason}")


def _look(score: Score, tally: Tally, right: str, got: set[str]) -> None:
    if right or got:
        tally.looks += 1
        tally.looks_right += got == {right}
        if got != {right}:
            score.confused[f"{right or 'none'} but {', '.join(sorted(got)) or 'none'}"] += 1


def _payments(
    score: Score,
    right: Remittance,
    got: pb.Remittance,
    books: Books,
    entries: Mapping[int, Entry],
    looks: Mapping[tuple[str, int], set[str]],
) -> None:
    clearing = f"{CLEARING}:{right.payer.code}:{right.trace}"
    for written, decided in zip(right.written, books.decisions(got.id), strict=True):
        tally = score.fates[written.fate]
        entry = entries.get(decided.entry_number)
        word = pb.Decision.Name(decided.decision).removeprefix("DECISION_")
        tally.payments += 1
        tally.clerk += written.expected.clerk
        tally.matched += written.expected.clerk and word not in _LEFT and decided.claim == written.expected.claim
        tally.decided_right += word == written.expected.decision
        _look(score, tally, written.expected.look, looks.get((got.id, decided.line), set()))
        _settle(score, written, right, left=word in _LEFT)
        if word == "SUSPENDED" and written.expected.claim:
            _propose(tally, written.expected.claim, books.proposed(got.id, decided.line))
        if false := _false(written, decided, word, entry, clearing):
            tally.false += 1
            score.false_cents += abs(written.answer.paid)
            score.tell(f"{written.fate}: {right.trace} line {decided.line}, sent {decided.claim_as_sent}: {false}")


def _propose(tally: Tally, claim: str, scores: Mapping[str, int]) -> None:
    """Where the right claim stands among those proposed; of the same score, behind all others."""
    own = scores.get(claim)
    place = sum(one >= own for one in scores.values()) if own is not None else None
    tally.proposed += 1
    tally.first += place == 1
    tally.in_three += place is not None and place <= _SHORT_LIST


def _settle(score: Score, written: Written, remittance: Remittance, *, left: bool) -> None:
    """Adds what is right; what was left in suspense lies there, whoever could have told its claim."""
    lying = waiting(None, written.answer, "").effect if left else written.expected.effect
    _add(score, lying, remittance)
    if not left:
        _add(score, written.expected.moved, remittance)


def _add(score: Score, effect: Effect, remittance: Remittance) -> None:
    clearing = f"{CLEARING}:{remittance.payer.code}:{remittance.trace}"
    for account, cents in effect.items():
        score.settled[clearing if account == MONEY else account] += cents


def _false(written: Written, got: pb.ClaimPayment, word: str, entry: Entry | None, clearing: str) -> str:
    """How it is false, or nothing: another claim, a claim where nobody can tell one, or other amounts."""
    right = written.expected
    found = entry.effect(clearing, MONEY) if entry else {}
    if word in _LEFT:
        kept = {MONEY: written.answer.paid} if written.answer.paid else {}
        return "" if found.get(MONEY, 0) == kept.get(MONEY, 0) else f"suspends {found}, not {kept}"
    if got.claim != (right.claim or ""):
        return f"posted to {got.claim} by {got.rule}, not to {right.claim}"
    if not right.clerk:
        return f"posted to {got.claim} by {got.rule} ({got.evidence}), where nobody can tell"
    if found != dict(right.effect):
        return f"posts {found}, not {dict(right.effect)}"
    strayed = entry.items() - {right.claim} if entry else set()
    return f"touches {strayed}, not {right.claim}" if strayed else ""


def received(delivered: Delivered) -> dict[str, int]:
    """The money that came, once for each remittance, and what became of it, in cents."""
    sums = dict.fromkeys(("received", "posted", "suspended", "quarantined"), 0)
    found = {one.id: one for _, answer in delivered for one in answer.remittances}
    for one in found.values():
        if one.state == pb.REMITTANCE_STATE_DUPLICATE:
            continue
        sums["received"] += one.paid.minor_units
        quarantined = one.state == pb.REMITTANCE_STATE_QUARANTINED
        sums["quarantined"] += one.paid.minor_units * quarantined
        sums["posted"] += one.posted.minor_units
        sums["suspended"] += one.suspended.minor_units
    return sums


def untied_files(delivered: Delivered) -> Iterator[str]:
    """Files whose money is not what the file says, or does not all lie somewhere."""
    for file, answer in delivered:
        stated = sum(one.amount for one in file.remittances)
        found = sum(one.paid.minor_units for one in answer.remittances)
        lying = sum(
            one.posted.minor_units + one.suspended.minor_units
            if one.state == pb.REMITTANCE_STATE_SETTLED
            else one.paid.minor_units
            for one in answer.remittances
        )
        if not stated == found == lying:
            yield f"{file.name}: {stated} stated, {found} received, {lying} posted, suspended or kept"


def _tie_money(score: Score, delivered: Delivered) -> None:
    score.untied.extend(untied_files(delivered))
    score.money = received(delivered)
    if score.money["received"] != score.money["posted"] + score.money["suspended"] + score.money["quarantined"]:
        score.untied.append(f"received is not posted and suspended and quarantined: {score.money}")


def _tie_accounts(score: Score, case: Case, books: Books, entries: Mapping[int, Entry]) -> None:
    """Every account that remittances touch, and every clearing account, as the key has it."""
    found: dict[str, int] = defaultdict(int)
    for entry in entries.values():
        for (account, _), cents in entry.lines.items():
            found[account] += cents
    right = _balances(score, case)
    for account in sorted({*right, *(one for one in found if one.startswith(_TIED))}):
        if found.get(account, 0) != right.get(account, 0):
            score.untied.append(
                f"{account}: {found.get(account, 0)} in the books, {right.get(account, 0)} in the key"
            )
    for prefix in (*_TIED, "Assets:Cash"):
        of_prefix = sum(cents for account, cents in found.items() if account.startswith(prefix))
        if books.control(prefix) != of_prefix:
            score.untied.append(
                f"{prefix}: {books.control(prefix)} as a balance, {of_prefix} as a sum of postings"
            )


def _tie_deposits(score: Score, case: Case, books: Books) -> None:
    """Exactly the deposits of another amount wait for a person, and no other."""
    differing = sum(deposit.differs for deposit in case.deposits)
    right = {"DEPOSIT_DIFFERS": differing} if differing else {}
    if (found := dict(books.exceptions_of_deposits())) != right:
        score.untied.append(f"deposits to look at: {found}, not {right}")


_TIED = (
    *("Assets:Receivable", CLEARING, "Liabilities:Suspense", "Liabilities:PayerOverpayments"),
    *("Liabilities:ForwardBalances", "Revenue:Interest", "Revenue:ContractualAdjustments", UNAPPLIED),
)


def _balances(score: Score, case: Case) -> dict[str, int]:
    """What every tied account must amount to: sessions, remittances and deposits together."""
    sums: dict[str, int] = defaultdict(int, score.settled)
    for claim in case.world.claims:
        sums[f"Assets:Receivable:Insurer:{claim.payer.code}"] += claim.allowed - claim.share
        sums["Assets:Receivable:Patient"] += claim.share
    for deposit in case.deposits:
        clearing = f"{CLEARING}:{deposit.payer}:{deposit.trace}"
        sums[UNAPPLIED if deposit.differs else clearing] -= deposit.cents
        sums["Assets:Cash"] += deposit.cents
    return sums
