"""The payment file that US banks take: NACHA's fixed-width records of 94 characters. Pure.

One file header (1); for persons (PPD) and for companies (CCD) a batch each: header (5), a credit (6) with an
addenda record (7) for every payment, debits of the company's own account that balance them, and a control (8);
one file control (9), filled up with nines to blocks of ten records. Amounts are cents, and exact or refused. The
same payments give the same bytes: every date in it comes from the cycle.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from ledger.money import plain
from ledger.pay_cycles.payee import NACHA_CURRENCY, AccountType, BankAccount, Holder, Payee, ascii_text
from ledger.pay_cycles.payment import Remitted
from ledger.pay_cycles.refusals import PaymentFileCurrency, PaymentTooLarge

RECORD = 94
"""Characters of a record."""
BLOCK = 10
"""Records of a block."""
LARGEST_ENTRY = 10**10 - 1
"""Cents of one entry: ten digits."""
LARGEST_TOTAL = 10**12 - 1
"""Cents of a batch or a file: twelve digits."""
MOST_ENTRIES = 10**6 - 1
"""Entries and addenda of a batch: six digits."""
_HASHED = 10**10
_CREDIT = {AccountType.CHECKING: "22", AccountType.SAVINGS: "32"}
_DEBIT = {AccountType.CHECKING: "27", AccountType.SAVINGS: "37"}
_CLASS = {Holder.PERSON: "PPD", Holder.COMPANY: "CCD"}
_MIXED = "200"
_LINE_END = "\n"


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sends the file: the company with its own account, the cycle, and the moment from which the file is
    dated."""

    company: Payee
    account: BankAccount
    cycle: date
    pay_date: date
    made_at: datetime

    @property
    def bank(self) -> str:
        """The first eight digits of the bank's routing number, which trace numbers begin with."""
        return self.account.routing_number[:8]


@dataclass(frozen=True, slots=True)
class _Sums:
    """What a control record says of the records before it."""

    count: int
    hash: int
    debits: int
    credits: int


def written(origin: Origin, payments: Sequence[Remitted]) -> bytes:
    """The file, a record a line. Raises PaymentFileCurrency or PaymentTooLarge."""
    _refuse_currencies(origin, payments)
    records = [_file_header(origin)]
    sums: list[_Sums] = []
    trace = 0
    for holder in Holder:
        batch = [one for one in payments if one.payee.holder is holder]
        if batch:
            lines = [*_entries(origin, batch, trace)]
            sums.append(_summed(batch, lines))
            trace += sum(1 for line in lines if line.startswith("6"))
            records += _batch(origin, holder, len(sums), lines, sums[-1])
    records.append(_file_control(sums, len(records) + 1))
    records += ["9" * RECORD] * (-len(records) % BLOCK)
    return "".join(record + _LINE_END for record in records).encode("ascii")


def _refuse_currencies(origin: Origin, payments: Iterable[Remitted]) -> None:
    for currency in (origin.account.currency, *(one.payment.amount.currency for one in payments)):
        if currency != NACHA_CURRENCY:
            raise PaymentFileCurrency(f"a NACHA file is in USD, not in {currency}: ask for CSV", currency=currency)


def _file_header(origin: Origin) -> str:
    return _record(
        "1",
        "01",
        f" {origin.account.routing_number}",
        _text(origin.company.company_id, 10),
        f"{origin.made_at:%y%m%d%H%M}",
        "A",
        "094",
        "10",
        "1",
        _text(origin.company.bank_name, 23),
        _text(origin.company.name, 23),
        " " * 8,
    )


def _batch(origin: Origin, holder: Holder, number: int, lines: Sequence[str], sums: _Sums) -> Iterator[str]:
    yield _record(
        "5",
        _MIXED,
        _text(origin.company.name, 16),
        _text(origin.cycle.isoformat(), 20),
        _text(origin.company.company_id, 10),
        _CLASS[holder],
        _text("PROVIDERS", 10),
        f"{origin.cycle:%y%m%d}",
        f"{origin.pay_date:%y%m%d}",
        "   ",
        "1",
        origin.bank,
        f"{number:07}",
    )
    yield from lines
    yield _record(
        "8",
        _MIXED,
        f"{sums.count:06}",
        f"{sums.hash:010}",
        _cents(sums.debits, LARGEST_TOTAL, 12),
        _cents(sums.credits, LARGEST_TOTAL, 12),
        _text(origin.company.company_id, 10),
        " " * 19,
        " " * 6,
        origin.bank,
        f"{number:07}",
    )


def _entries(origin: Origin, batch: Sequence[Remitted], trace: int) -> Iterator[str]:
    """A credit and its addenda for each payment; then debits of the company's account for all of them."""
    total = 0
    for one in batch:
        trace += 1
        total += one.payment.amount.minor_units
        yield _credit(origin, one, trace)
        told = f"PAY CYCLE {origin.cycle.isoformat()} PROVIDER {one.payment.provider}"
        yield _record("7", "05", _text(told, 80), "0001", f"{trace % 10**7:07}")
    while total:
        trace, part = trace + 1, min(total, LARGEST_ENTRY)
        yield _debit(origin, part, trace)
        total -= part


def _credit(origin: Origin, one: Remitted, trace: int) -> str:
    code = _CREDIT[one.payee.account_type]
    who = _text(one.payment.provider, 15), _text(one.payee.name, 22)
    return _entry(code, one.to, one.payment.amount.minor_units, who, "1", f"{origin.bank}{trace:07}")


def _debit(origin: Origin, cents: int, trace: int) -> str:
    code = _DEBIT[origin.company.account_type]
    who = _text("OFFSET", 15), _text(origin.company.name, 22)
    return _entry(code, origin.account, cents, who, "0", f"{origin.bank}{trace:07}")


def _entry(code: str, to: BankAccount, cents: int, who: tuple[str, str], addenda: str, trace: str) -> str:
    return _record(
        "6",
        code,
        to.routing_number,
        f"{to.account_number:<17}",
        _cents(cents, LARGEST_ENTRY, 10),
        *who,
        "  ",
        addenda,
        trace,
    )


def _summed(batch: Sequence[Remitted], lines: Sequence[str]) -> _Sums:
    """Of the records as they are written; both sides are the sum of the payments."""
    if len(lines) > MOST_ENTRIES:
        raise PaymentTooLarge(f"a batch holds {MOST_ENTRIES} records", amount=len(lines), limit=MOST_ENTRIES)
    hashed = sum(int(line[3:11]) for line in lines if line.startswith("6")) % _HASHED
    total = sum(one.payment.amount.minor_units for one in batch)
    return _Sums(len(lines), hashed, debits=total, credits=total)


def _file_control(sums: Sequence[_Sums], count: int) -> str:
    """`count` is that of all records with this one; a block that is begun counts."""
    return _record(
        "9",
        f"{len(sums):06}",
        f"{-(-count // BLOCK):06}",
        f"{sum(one.count for one in sums):08}",
        f"{sum(one.hash for one in sums) % _HASHED:010}",
        _cents(sum(one.debits for one in sums), LARGEST_TOTAL, 12),
        _cents(sum(one.credits for one in sums), LARGEST_TOTAL, 12),
        " " * 39,
    )


def _cents(cents: int, largest: int, width: int) -> str:
    """An amount in its field. Raises PaymentTooLarge where it has more digits."""
    if cents > largest:
        limit, amount = (plain(units, NACHA_CURRENCY) for units in (largest, cents))
        raise PaymentTooLarge(f"{amount} does not fit into {width} digits of cents", amount=amount, limit=limit)
    return f"{cents:0{width}}"


def _text(text: str, width: int) -> str:
    """In the characters of the file, in capitals, cut and filled with spaces."""
    return f"{ascii_text(text).upper()[:width]:<{width}}"


def _record(*parts: str) -> str:
    record = "".join(parts)
    assert len(record) == RECORD, f"a record of {len(record)} characters"
    return record
