"""Each file in tests/remittances, delivered to the running server, against the journal beside it.

A `.journal` is a story that a bookkeeper can check with a pencil. Lines that begin at the margin are what is done:

    earned C1 2026-04-08 AETNA ada charge=150.00 allowed=120.00 patient=20.00 rate=105.00
    posted 2026-05-02                    an entry by hand, its lines below it
    absorbed C1 2026-07-31               the denial of a claim is written off
    identified AETNA: NV001, 1880000001  these identifiers in remittances stand for that payer
    covered C1 2 CIGNA                   that payer pays the claim in the second rank
    forwarded C1 2026-06-30              what the first payer left open is the next one's, by hand
    payee EXAMPLE CARE PC                under this name remittances pay the book
    deliver paid_in_full.835             a file arrives; below it, all that must come of it
    left                                 every account that is not at zero in the end

Below `deliver` stands, for each remittance, its state and its money; for each claim payment (CLP) what was
decided, the rule that found the claim and what agreed; what people must look at; the entry, line by line.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import serving
from payers import deliver
from serving import DR, Ledger, cr, dr, money, session, written
from test_books import rolled_forward
from tying import advances_tie

import ledger.audit
import reconciliation.reports
from ledger.v1 import money_pb2
from ledger.v1 import postings_pb2 as postings
from reconciliation.v1 import coverage_pb2 as cv
from reconciliation.v1 import reconciliation_pb2 as pb

FOLDER = Path(__file__).parent / "remittances"
STORIES = sorted(FOLDER.glob("*.journal"))
AMOUNTS = {"charge", "allowed", "patient_share", "provider_rate"}
STEPS = ("earned", "posted", "absorbed", "identified", "covered", "forwarded", "payee", "deliver", "left")


# --- the story ----------------------------------------------------------------------------------------


def steps(story: str) -> Iterator[tuple[str, list[str]]]:
    """What is done, each with the lines below it. Comments and empty lines say nothing."""
    lines = [line.rstrip() for line in story.splitlines() if line.strip() and not line.startswith("#")]
    starts = [number for number, line in enumerate(lines) if line.split()[0] in STEPS and not line.startswith(" ")]
    assert starts[0] == 0, f"not a step: {lines[0]}"
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        yield lines[start], [" ".join(line.split()) for line in lines[start + 1 : end]]


def earned(books: Ledger, told: str) -> None:
    """A session took place: claim, day, payer and provider, then what is known of it."""
    claim, day, payer, provider, *rest = told.split()
    more = dict(one.split("=") for one in rest)
    for ours, theirs in (("patient", "patient_share"), ("code", "service_code"), ("rate", "provider_rate")):
        if ours in more:
            more[theirs] = more.pop(ours)
    currency = more.pop("currency", "USD")
    amounts = {name: money(more.pop(name), currency) for name in AMOUNTS & more.keys()}
    sent = session(claim, day, payer=payer, provider=provider, **more, **about(books))
    for name, amount in amounts.items():
        getattr(sent, name).CopyFrom(amount)
    books.postings.RecordSession(sent)


def about(books: Ledger) -> dict[str, str]:
    return {"book": books.book}


def posted(books: Ledger, day: str, lines: list[str]) -> None:
    """An entry by hand, its lines written as in a journal."""
    books.post(day, *map(posting, lines))


def posting(line: str) -> postings.Posting:
    account, amount, side, *item = line.split()
    return (dr if side == "Dr" else cr)(account, amount, *item)


def absorbed(books: Ledger, told: str) -> None:
    claim, day = told.split()
    key = serving.key()
    asked = postings.AbsorbDenialRequest(
        claim=claim, effective_date=day, idempotency_key=key, reason="no appeal left", **about(books)
    )
    books.postings.AbsorbDenial(asked)


def identified(books: Ledger, told: str) -> None:
    payer, _, identifiers = told.partition(": ")
    asked = pb.IdentifyPayerRequest(
        payer=payer, identifiers=identifiers.split(", "), reason="so it signs", **about(books)
    )
    books.reconciliation.IdentifyPayer(asked)


def covered(books: Ledger, told: str) -> None:
    claim, rank, payer = told.split()
    asked = cv.RecordCoverRequest(claim=claim, rank=int(rank), payer=payer, reason="card", **about(books))
    books.coverage.RecordCover(asked)


def forwarded(books: Ledger, told: str) -> None:
    claim, day = told.split()
    key = serving.key()
    asked = cv.ForwardClaimRequest(
        claim=claim, effective_date=day, idempotency_key=key, reason="cover found", **about(books)
    )
    first, again = books.coverage.ForwardClaim(asked), books.coverage.ForwardClaim(asked)
    assert (first.replayed, again.replayed, again.entry_number) == (False, True, first.entry_number)


def payee(books: Ledger, told: str) -> None:
    asked = pb.IdentifyPayeeRequest(identifiers=[told], reason="our name", **about(books))
    books.reconciliation.IdentifyPayee(asked)


# --- what came of it, in the same words ---------------------------------------------------------------


def outcome(books: Ledger, answer: pb.IngestRemittanceResponse, before: int) -> list[str]:
    """All that a delivery did, as a journal says it. `before` is the number of the last entry until then."""
    new = {entry.number: entry for entry in books.entries() if entry.number > before}
    looks = exceptions(books)
    told = ["came before: nothing is posted twice"] if answer.duplicate else []
    for remittance in answer.remittances:
        told += [f"remittance {remittance.position} {state(remittance)}", *header(remittance)]
        told += [f"reason: {remittance.reason}"] if remittance.reason else []
        told += raised(looks, remittance, line=0)
        found = got(books, remittance)
        for each in found.claim_payments:
            told += claim_payment(looks, remittance, each, new)
        for adjustment in found.provider_level_adjustments:
            told += provider_level(adjustment, new)
    told += earlier(books, looks, answer, new)
    assert not new, f"entries that no decision names: {new}"
    called = names(books)
    return [" ".join(named(line, called).split()) for line in told]


def earlier(
    books: Ledger,
    looks: list[pb.Exception],
    answer: pb.IngestRemittanceResponse,
    new: dict[int, postings.JournalEntry],
) -> Iterator[str]:
    """What a delivery did to payments that had come before it."""
    delivered = {one.id for one in answer.remittances}
    for one in everything(books):
        for each in got(books, one).claim_payments if one.id not in delivered else ():
            if each.entry_number in new:
                yield f"earlier, of {one.id}: {written(one.posted)} posted + {written(one.suspended)} suspended"
                yield from claim_payment(looks, one, each, new)


def header(remittance: pb.Remittance) -> Iterator[str]:
    """Payer, trace and the money, which is all accounted for."""
    yield f"payer {remittance.payer or 'unknown'}, trace {remittance.trace or 'none'}"
    if remittance.HasField("paid"):
        parts = f"{written(remittance.posted)} posted + {written(remittance.suspended)} suspended"
        settled = remittance.state == pb.REMITTANCE_STATE_SETTLED
        currency = remittance.paid.currency_code
        paid = written(remittance.paid) + ("" if currency == "USD" else f" {currency}")
        yield f"paid {paid} = {parts}" if settled else f"paid {paid}, nothing posted"


def state(remittance: pb.Remittance) -> str:
    return pb.RemittanceState.Name(remittance.state).removeprefix("REMITTANCE_STATE_").lower()


def got(books: Ledger, remittance: pb.Remittance) -> pb.GetRemittanceResponse:
    asked = pb.GetRemittanceRequest(id=remittance.id, page_size=1000, **about(books))
    return books.reconciliation.GetRemittance(asked)


def claim_payment(
    looks: list[pb.Exception],
    remittance: pb.Remittance,
    sent: pb.ClaimPayment,
    new: dict[int, postings.JournalEntry],
) -> Iterator[str]:
    """A CLP, what was decided on it, who must look, and the entry."""
    charge = written(sent.charge) if sent.HasField("charge") else "unreadable"
    paid = written(sent.paid) if sent.HasField("paid") else "unreadable"
    yield f"claim {sent.line} {sent.claim_as_sent} status {sent.status} charge {charge} paid {paid}"
    decision = pb.Decision.Name(sent.decision).removeprefix("DECISION_").lower()
    found = f" {sent.claim} by {sent.rule}" if sent.claim or sent.rule else ""
    yield f"{decision}{found}" + (f": {sent.evidence}" if sent.evidence else "")
    yield from raised(looks, remittance, sent.line)
    if sent.entry_number in new:
        entry = new.pop(sent.entry_number)
        assert (entry.dimensions.remittance, entry.dimensions.claim) == (remittance.id, sent.claim)
        yield from journal(entry)
    elif sent.entry_number:
        yield f"entry {sent.entry_number} as before"
    for move in sent.moves:
        yield from moved(remittance, sent, move, new)


def moved(
    remittance: pb.Remittance, sent: pb.ClaimPayment, move: pb.ClaimMove, new: dict[int, postings.JournalEntry]
) -> Iterator[str]:
    """What was posted beside a claim payment's own entry."""
    if move.entry_number in new:
        entry = new.pop(move.entry_number)
        assert (entry.dimensions.remittance, entry.dimensions.claim) == (remittance.id, sent.claim)
        yield f"{move.move} {move.payer}"
        yield from journal(entry)


def provider_level(sent: pb.ProviderLevelAdjustment, new: dict[int, postings.JournalEntry]) -> Iterator[str]:
    """A PLB pair and its entry."""
    yield f"plb {sent.code} {sent.reference} {written(sent.amount)} to {sent.account}"
    if sent.entry_number:
        yield from journal(new.pop(sent.entry_number))


def exceptions(books: Ledger) -> list[pb.Exception]:
    asked = pb.ListExceptionsRequest(page_size=1000, **about(books))
    return list(books.reconciliation.ListExceptions(asked).exceptions)


def raised(looks: list[pb.Exception], remittance: pb.Remittance, line: int) -> Iterator[str]:
    """What people must look at, about one claim payment or (line 0) about the whole remittance."""
    for found in looks:
        if (found.remittance, found.line) == (remittance.id, line):
            reason = pb.ExceptionReason.Name(found.reason).removeprefix("EXCEPTION_REASON_").lower()
            amount = f" {written(found.amount)}" if found.HasField("amount") else ""
            yield f"exception {reason}{amount}: {found.detail}"


def journal(entry: postings.JournalEntry) -> Iterator[str]:
    """An entry as it stands in the books."""
    kind = postings.Kind.Name(entry.kind).removeprefix("KIND_").lower()
    undoes = f" undoes entry {entry.reverses}" if entry.reverses else ""
    yield f"entry {entry.number} {kind} {entry.effective_date}{undoes}"
    for line in entry.postings:
        amount = f"{written(line.amount)} {'Dr' if line.side == DR else 'Cr'}"
        yield f"{line.account} {amount} {line.item}".rstrip()


def names(books: Ledger) -> dict[str, str]:
    """What a person calls each remittance, for its id: `paid_twice.2 #1`."""
    asked = pb.ListRemittancesRequest(page_size=1000, **about(books))
    found = books.reconciliation.ListRemittances(asked).remittances
    return {one.id: f"{Path(one.file_name).stem}#{one.position}" for one in found}


def named(line: str, called: dict[str, str]) -> str:
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda found: called.get(found[0], found[0]), line)


def left(books: Ledger) -> list[str]:
    """Every account that is not at zero."""
    balances = {account.code: books.balance(account.code) for account in books.codes()}
    return [f"{code} {balance}" for code, balance in sorted(balances.items()) if balance.split()[0].strip("0.")]


# --- what must hold whatever the story ----------------------------------------------------------------


def check_sound(books: Ledger) -> None:
    """All money received is accounted for, wherever it went. Posts the deposits, so do this last."""
    remittances, entries = everything(books), books.entries()
    check_received(books, remittances)
    check_summaries(books, remittances)
    check_provider_payables(entries)
    check_suspense(remittances, entries)
    for one in remittances:
        check_clearing(books, one, entries)
    check_integrity(books)
    entries = books.entries()
    check_balanced(entries)
    last_day = max((one.effective_date for one in entries), default="2026-01-01")
    rolled_forward(books, entries, last_day)
    advances_tie(books, last_day)


def everything(books: Ledger) -> list[pb.Remittance]:
    asked = pb.ListRemittancesRequest(page_size=1000, **about(books))
    return list(books.reconciliation.ListRemittances(asked).remittances)


def pasted(books: Ledger, package: Any, name: str) -> list[tuple[Any, ...]]:
    """The rows of a report, pasted into PostgreSQL as an auditor would."""
    sql = Path(package.__path__[0], name).read_text().replace(":'book'", f"'{books.book}'")
    lines = (line for line in sql.splitlines() if not line.startswith("\\"))
    with psycopg.connect(books.url.replace("+psycopg", "", 1)) as connection:
        return connection.execute("\n".join(lines)).fetchall()


def check_integrity(books: Ledger) -> None:
    """The books are sound in themselves, and agree with the mail room."""
    assert pasted(books, ledger.audit, "integrity.sql") == []
    assert pasted(books, reconciliation.reports, "integrity.sql") == []


def check_balanced(entries: list[postings.JournalEntry]) -> None:
    """The trial balance is zero in every currency."""
    for currency, lines in by_currency(line for entry in entries for line in entry.postings).items():
        assert sum(map(signed, lines)) == 0, currency


def by_currency(lines: Iterable[postings.Posting]) -> dict[str, list[postings.Posting]]:
    found: dict[str, list[postings.Posting]] = defaultdict(list)
    for line in lines:
        found[line.amount.currency_code].append(line)
    return found


def signed(line: postings.Posting) -> int:
    return line.amount.minor_units * (1 if line.side == DR else -1)


def check_received(books: Ledger, remittances: list[pb.Remittance]) -> None:
    """received = posted + suspended + quarantined (+ settling), to the cent, and received is the sum of BPR02."""
    told: dict[str, int] = defaultdict(int)
    for currency, _, received, *parts, _ in pasted(books, reconciliation.reports, "received.sql"):
        assert received == sum(parts)
        told[currency or ""] += received
    for one in remittances:
        if one.state != pb.REMITTANCE_STATE_DUPLICATE and one.HasField("paid"):
            told[one.paid.currency_code] -= one.paid.minor_units
    assert not any(told.values()), dict(told)


def check_summaries(books: Ledger, remittances: list[pb.Remittance]) -> None:
    """By payer and month the same remittances are told of, each claim payment once, and each cent."""
    summed = books.reconciliation.GetRemittanceSummary(
        pb.GetRemittanceSummaryRequest(as_of="2030-01-01", **about(books))
    )
    told = [one for one in remittances if one.state != pb.REMITTANCE_STATE_DUPLICATE]
    assert sum(row.remittance_count for row in summed.rows) == len(told)
    assert sum(row.duplicate_count for row in summed.rows) == len(remittances) - len(told)
    assert sum(row.received.minor_units for row in summed.rows) == sum(one.paid.minor_units for one in told)
    for row in summed.rows:
        parts = (row.posted, row.suspended, row.quarantined, row.waiting, row.settling)
        assert sum(part.minor_units for part in parts) == row.received.minor_units
        check_adjusted(row)
    paid = sum(each.paid.minor_units for one in told for each in payments_of(books, one))
    assert sum(row.claims_paid.minor_units for row in summed.rows) == paid
    rated = books.reconciliation.GetAutomaticRate(pb.GetAutomaticRateRequest(as_of="2030-01-01", **about(books)))
    payments = [payment for one in told for payment in payments_of(books, one)]
    assert sum(row.payment_count for row in rated.rows) == len(payments)
    suspended = sum(one.decision == pb.DECISION_SUSPENDED for one in payments)
    assert sum(row.suspended_count for row in rated.rows) == suspended
    for row in rated.rows:
        assert row.untouched_count + row.looked_at_count == row.payment_count
        assert row.untouched_paid.minor_units + row.looked_at_paid.minor_units == row.paid.minor_units


def check_adjusted(row: pb.RemittanceSummaryRow) -> None:
    """Charged less what is in the buckets is what was paid, of all but what could not be read."""
    buckets = (row.contractual, row.patient, row.denial, row.other_payer, row.suspense)
    less = sum(bucket.minor_units for bucket in buckets)
    assert row.charged.minor_units - less == row.sorted_paid.minor_units
    assert row.sorted_paid.minor_units + row.unsorted_paid.minor_units == row.claims_paid.minor_units
    assert row.difference.minor_units == 0


def payments_of(books: Ledger, remittance: pb.Remittance) -> Iterator[pb.ClaimPayment]:
    """All claim payments of a remittance, page by page."""
    asked = pb.GetRemittanceRequest(id=remittance.id, page_size=1000, **about(books))
    while True:
        found = books.reconciliation.GetRemittance(asked)
        yield from found.claim_payments
        if not found.next_page_token:
            return
        asked.page_token = found.next_page_token


def check_provider_payables(entries: list[postings.JournalEntry]) -> None:
    """Nothing that a payer does reaches what a provider has earned."""
    for entry in entries:
        if entry.dimensions.remittance:
            assert not [line for line in entry.postings if line.account.startswith("Liabilities:Payable:Provider")]


def check_suspense(remittances: list[pb.Remittance], entries: list[postings.JournalEntry]) -> None:
    """What the remittances say is suspended is what the suspense accounts hold."""
    lines = (
        line for entry in entries for line in entry.postings if line.account.startswith("Liabilities:Suspense:")
    )
    held = {currency: -sum(map(signed, lines)) for currency, lines in by_currency(lines).items()}
    for one in remittances:
        currency = one.suspended.currency_code
        held[currency] = held.get(currency, 0) - one.suspended.minor_units
    assert not any(held.values()), held


def check_clearing(books: Ledger, one: pb.Remittance, entries: list[postings.JournalEntry]) -> None:
    """A settled payment's clearing account stands at BPR02, and at zero once its deposit is posted."""
    lines = [line for entry in entries if entry.dimensions.remittance == one.id for line in entry.postings]
    cleared = [line for line in lines if line.account.startswith("Assets:RemittanceClearing:")]
    settled = one.state == pb.REMITTANCE_STATE_SETTLED
    assert sum(map(signed, cleared)) == (one.paid.minor_units if settled else 0)
    for account in {line.account for line in cleared}:
        deposit(books, account, one.paid)
        assert books.balance(account).split()[0].strip("0.") == ""


def deposit(books: Ledger, account: str, paid: money_pb2.Money) -> None:
    """The bank says what came, or what was taken."""
    if paid.minor_units:
        currency, into, out = paid.currency_code, *((dr, cr) if paid.minor_units > 0 else (cr, dr))
        text = written(paid).removeprefix("-")
        books.post("2026-06-08", into("Assets:Cash", text, "", currency), out(account, text, "", currency))


# --- the test -----------------------------------------------------------------------------------------


def opened(server: Ledger, name: str) -> Ledger:
    """A book of the story's own."""
    book = name.replace("_", "-")[:40]
    serving.open_book(server, book)
    return server.of(book)


def tell(books: Ledger, story: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Does what a story says; gives for each of its claims the step, what it expects and what came of it."""
    for step, below in steps(story):
        verb, _, told = step.partition(" ")
        if verb == "deliver":
            before = max((entry.number for entry in books.entries()), default=0)
            answer = deliver(books, (FOLDER / told).read_bytes(), books.book, told)
            yield step, below, outcome(books, answer, before)
        elif verb == "left":
            yield step, below, left(books)
        elif verb == "posted":
            posted(books, told, below)
        else:
            DONE[verb](books, told)


DONE = {
    "earned": earned,
    "absorbed": absorbed,
    "identified": identified,
    "covered": covered,
    "forwarded": forwarded,
    "payee": payee,
}


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_the_books_are_as_the_journal_says(server: Ledger, story: Path) -> None:
    books = opened(server, story.stem)
    for step, expected, found in tell(books, story.read_text()):
        assert found == expected, f"{story.name}: {step}"
    check_sound(books)


def test_every_file_belongs_to_a_story() -> None:
    """No file lies here unread, and every story delivers something and says what is left."""
    told = {path.stem: path.read_text() for path in STORIES}
    delivered = {line.split()[1] for text in told.values() for line in text.splitlines() if line[:8] == "deliver "}
    assert delivered == {path.name for path in FOLDER.glob("*.835")}
    assert [name for name, text in told.items() if "\nleft\n" not in text] == []
