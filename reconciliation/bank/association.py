"""Whose money a deposit is: which remittances, and how much of each. Pure; amounts are minor units.

A deposit belongs to a remittance whose trace it names, where nothing contradicts that: by trace, payer and
amount, or, where the bank names no payer, by trace and amount. All deposits that name a remittance must
together be exactly what it waits for, and one deposit that names several must be exactly what they wait for
together. Everything else (another sum, several remittances under one trace, several deposits for several
remittances) is for a person, and nothing is applied: a near amount or a near date never moves money.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from uuid import UUID

from ledger.money import plain
from reconciliation.bank.deposit import Trace, spellings
from reconciliation.payment import Raised
from reconciliation.reasons import ExceptionReason

BY_PAYER = "trace_payer_amount"
BY_TRACE = "trace_amount"
BY_HAND = "by_hand"


@dataclass(frozen=True, slots=True)
class Standing:
    """A deposit as it stands: `unapplied` is what the books keep of it as unapplied cash.

    `payers` are those of the books for which the identifiers of its traces stand, as far as that is known.
    """

    id: UUID
    effective_date: date
    currency: str
    unapplied: int
    traces: tuple[Trace, ...]
    payers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Remitted:
    """A remittance as it stands: `open` is what its clearing account waits for.

    One that is not settled waits for all of it, and nothing can be applied to it yet.
    """

    id: UUID
    trace: str
    signed_by: str
    payer: str | None
    effective_date: date
    currency: str
    clearing: str
    open: int
    is_settled: bool


@dataclass(frozen=True, slots=True)
class Application:
    """So much of a deposit is the money of a remittance, found by a rule, with what agreed."""

    deposit: UUID
    remittance: Remitted
    amount: int
    rule: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Association:
    """What was found for a deposit: what to apply, or why nothing.

    `deposits` are all that were looked at together. `come` are remittances that are not settled, and whose money
    is all there. Where nothing is applied, `raised` says why a person must look.
    """

    deposits: tuple[UUID, ...]
    applications: tuple[Application, ...] = ()
    come: tuple[UUID, ...] = ()
    raised: Raised | None = None


@dataclass(frozen=True, slots=True)
class _Link:
    """A trace and its one remittance; `says_payer` where the payer agrees too. Or why there is none."""

    remittance: Remitted | None
    says_payer: bool = False
    reason: ExceptionReason = ExceptionReason.UNAPPLIED_CASH
    why: str = ""


Links = Mapping[UUID, Sequence[_Link]]


@dataclass(slots=True)
class Known:
    """The deposits that wait and the remittances that wait for them, found by trace."""

    deposits: dict[UUID, Standing] = field(default_factory=dict)
    remittances: dict[UUID, Remitted] = field(default_factory=dict)
    naming: dict[str, dict[UUID, None]] = field(default_factory=lambda: defaultdict(dict))
    named: dict[str, dict[UUID, None]] = field(default_factory=lambda: defaultdict(dict))

    def deposit(self, one: Standing) -> None:
        """A deposit as it stands now."""
        self.deposits[one.id] = one
        for trace in one.traces:
            self.naming[trace.number][one.id] = None

    def remittance(self, one: Remitted) -> None:
        """A remittance as it stands now."""
        self.remittances[one.id] = one
        self.named[one.trace][one.id] = None

    def of_trace(self, number: str) -> list[Remitted]:
        """The remittances under a trace."""
        return [self.remittances[one] for one in self.named.get(number, ())]

    def beside(self, deposit: Standing) -> list[Standing]:
        """All that wait and share a trace with the deposit, from one to the next; itself first."""
        found, grown = {deposit.id: deposit}, [deposit]
        while grown:
            traces = {trace.number for one in grown for trace in one.traces}
            names = {name for number in traces for name in self.naming.get(number, ())} - found.keys()
            grown = [one for one in map(self.deposits.__getitem__, sorted(names)) if one.unapplied > 0]
            found |= {one.id: one for one in grown}
        return list(found.values())

    def follow(self, application: Application) -> None:
        """Both as they stand once it is applied."""
        deposit, remittance = self.deposits[application.deposit], self.remittances[application.remittance.id]
        self.deposits[deposit.id] = replace(deposit, unapplied=deposit.unapplied - application.amount)
        self.remittances[remittance.id] = replace(remittance, open=remittance.open - application.amount)


def associate(deposit: Standing, known: Known) -> Association:
    """What a deposit is applied to, beside all others that name the same remittances."""
    if deposit.unapplied <= 0:
        return Association((deposit.id,))
    if not deposit.traces:
        return _for_a_person(deposit, ExceptionReason.UNAPPLIED_CASH, "the bank names no trace")
    standing = {one.id: one for one in known.beside(deposit)}
    links = {
        one.id: [_link(one, trace, known.of_trace(trace.number)) for trace in one.traces]
        for one in standing.values()
    }
    for link in links[deposit.id]:
        if link.remittance is None:
            return _for_a_person(deposit, link.reason, link.why)
    together, named = _together(deposit.id, links)
    if wrong := _tangled(deposit, together, named, links):
        return wrong
    return _settled([standing[one] for one in together], named, links)


def _for_a_person(deposit: Standing, reason: ExceptionReason, why: str) -> Association:
    return Association((deposit.id,), raised=Raised(reason, deposit.unapplied, why))


def _link(deposit: Standing, trace: Trace, remittances: Sequence[Remitted]) -> _Link:
    """The one remittance that a trace means, or why there is none."""
    named = [one for one in remittances if one.trace == trace.number and one.currency == deposit.currency]
    spoken = [(one, _speaks(trace, one, deposit.payers)) for one in named]
    sure = [one for one, says in spoken if says]
    found = sure or [one for one, says in spoken if says is None]
    if len(found) > 1 and len(deposit.traces) == 1:
        found = [one for one in found if one.open == deposit.unapplied] or found
    if len(found) == 1:
        return _Link(found[0], bool(sure))
    if found:
        told = f"{len(found)} remittances have the trace {trace.number}"
        return _Link(None, reason=ExceptionReason.DEPOSIT_AMBIGUOUS, why=told)
    if named:
        told = f"the trace {trace.number} is another payer's than {trace.payer_identifier}"
        return _Link(None, reason=ExceptionReason.DEPOSIT_AMBIGUOUS, why=told)
    return _Link(None, why=f"no remittance has come with the trace {trace.number}")


def _speaks(trace: Trace, remittance: Remitted, payers: Mapping[str, str]) -> bool | None:
    """Whether the payer of a trace is the remittance's; None where the bank names none."""
    identifier = trace.payer_identifier
    if not identifier:
        return None
    if remittance.signed_by in spellings(identifier):
        return True
    payer = payers.get(identifier)
    return payer is not None and payer == remittance.payer


def _together(start: UUID, links: Links) -> tuple[list[UUID], list[Remitted]]:
    """All deposits that name the same remittances, from one to the next, and these remittances."""
    deposits, remittances = (
        {start: None},
        {one.remittance.id: one.remittance for one in links[start] if one.remittance},
    )
    grown = True
    while grown:
        grown = False
        for name, its in links.items():
            of = {one.remittance.id: one.remittance for one in its if one.remittance}
            if name not in deposits and of.keys() & remittances.keys():
                deposits[name] = None
                remittances |= of
                grown = True
    return list(deposits), list(remittances.values())


def _tangled(
    deposit: Standing, together: Sequence[UUID], named: Sequence[Remitted], links: Links
) -> Association | None:
    """Where it cannot be told which deposit is for which remittance."""
    others = [link for one in together for link in links[one] if link.remittance is None]
    if not others and (len(together) == 1 or len(named) == 1):
        return None
    told = f"{len(together)} deposits name the same {len(named)} remittances"
    return _for_a_person(deposit, ExceptionReason.DEPOSIT_AMBIGUOUS, told)


def _settled(deposits: Sequence[Standing], named: Sequence[Remitted], links: Links) -> Association:
    """One remittance of one or more deposits, or one deposit of several remittances: exactly, or not at all."""
    first = deposits[0]
    ids = tuple(one.id for one in deposits)
    came, due = sum(one.unapplied for one in deposits), sum(one.open for one in named)
    if came != due:
        came_text, due_text = plain(came, first.currency), plain(due, first.currency)
        traces = ", ".join(one.trace for one in named[:5])
        told = f"{came_text} came and {due_text} is waited for under the trace {traces}"
        return Association(ids, raised=Raised(ExceptionReason.DEPOSIT_DIFFERS, came - due, told))
    come = tuple(one.id for one in named if not one.is_settled)
    applications = tuple(_applications(deposits, named, links))
    if not come:
        return Association(ids, applications)
    told = f"the remittance {named[0].trace} is settled now that its money is there"
    return Association(ids, applications, come, Raised(ExceptionReason.UNAPPLIED_CASH, came, told))


def _applications(deposits: Sequence[Standing], named: Sequence[Remitted], links: Links) -> Iterator[Application]:
    for remittance in named:
        if not remittance.is_settled or not remittance.open:
            continue
        for deposit in deposits:
            amount = remittance.open if len(deposits) == 1 else deposit.unapplied
            sure = any(link.says_payer for link in links[deposit.id] if link.remittance == remittance)
            rule = BY_PAYER if sure else BY_TRACE
            told = _evidence(deposit, remittance, amount, len(deposits), len(named), sure=sure)
            yield Application(deposit.id, remittance, amount, rule, told)


def _evidence(
    deposit: Standing, remittance: Remitted, amount: int, deposits: int, remittances: int, *, sure: bool
) -> str:
    told = [f"trace {remittance.trace}"]
    if sure:
        told.append(f"payer {remittance.signed_by}")
    told.append(f"amount {plain(amount, deposit.currency)}")
    if deposits > 1:
        told.append(f"{deposits} deposits together")
    if remittances > 1:
        told.append(f"one deposit for {remittances} remittances")
    return ", ".join(told)


@dataclass(frozen=True, slots=True)
class Received:
    """A deposit in the books that was not taken back, or a return itself, as far as the one may mean the other."""

    id: UUID
    account: str
    amount: int
    currency: str
    reference: str
    traces: frozenset[str]


def taken_back(one: Received, received: Iterable[Received]) -> Received | None:
    """The one deposit of the same account and amount that a return names by trace, or by the bank's reference."""
    found = [
        each
        for each in received
        if (each.account, each.amount, each.currency) == (one.account, -one.amount, one.currency)
        and (one.traces & each.traces or (one.reference and one.reference == each.reference))
    ]
    return found[0] if len(found) == 1 else None
