"""Files that no payer would send, made from files that one would: what the reader must be true of with any bytes.

`make fuzz` tries a million of them: `python -m fuzzing --inputs 1000000 --seed 1`. With atheris installed,
`--atheris` lets coverage lead instead.
"""

import argparse
import faulthandler
import re
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random

from benchmarks.remittances.key import case
from benchmarks.remittances.rates import Rates
from reconciliation.remittance import (
    ClaimPayment,
    Event,
    ProviderLevelAdjustment,
    RemittanceClosed,
    RemittanceOpened,
    Unreadable,
    read,
    survey,
)

REASONS = {"EMPTY_FILE", "NOT_AN_835", "TRUNCATED", "SEGMENT_TOO_LONG"}
HANGS_SECONDS = 300
"""After so long with a thousand files the program says where it stands, and ends."""
_WATCHED = 1_000
MOST_GROWTH = 256 * 2**20
_STRICT = re.compile(rb"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_RUN = re.compile(rb"[-+.,0-9A-Za-z_ \x80-\xff]+")
_USUAL = re.compile(rb"ISA[*|^!]", re.IGNORECASE)
_TOLD_EVERY = 100_000
_SURVEYED_EVERY = 10
_SIZES = (7, 512, 4096, 1 << 20)
"""Bytes in which a file is handed to the reader."""

ODD_AMOUNTS = (
    *(b"1e3", b"1E3", b"NaN", b"-NaN", b"Infinity", b"-Inf", b"1,000.00", b"1_000", b"+5", b"--5", b"5-", b" 5"),
    *(b"5 ", b"0x10", b"$5", b"1.2.3", b".", b"-", b"-.", b"", b"-0", b"-0.00", b"00005", b".5", b"5.", b"0.001"),
    *(b"999999999999999999", b"9999999999999999999", b"1" * 400, b"\xd9\xa1", b"\xef\xbc\x95", b"1\x00", b"1\n0"),
)
ODD_SEGMENTS = (
    *(b"ISA*", b"IEA*1*1~", b"GS*HP~", b"GE*1*1~", b"ST*835*1~", b"SE*1*1~", b"ST*837*1~", b"BPR*I*1*C~", b"CLP~"),
    *(b"CLP*A*1*1*1~", b"CAS*CO~", b"CAS*CO*45~", b"CAS*PR*1*1*1*2*2*2~", b"SVC~", b"SVC*HC*1~", b"PLB*1*2*WO*1~"),
    *(b"PLB*1*20261231*WO:1~", b"CUR*PR*JPY~", b"CUR*PR*KWD~", b"TRN*1~", b"LX*1~", b"DTM*472*20261399~", b"~~~"),
)
DELIMITERS = b"*|^:>~!\n\r\x1c\x1d \x00.-,"


def corpus() -> list[bytes]:
    """Files of every payer's hand, each of a claim or a few."""
    rates = Rates(interest=0.5, forwarded=0.5, unbalanced=0.2)
    return [file.content for seed in (1, 2) for file in case(seed, 30, rates, 1).once]


def mutated(draw: Random, files: Sequence[bytes]) -> bytes:
    """A file with one to six things wrong."""
    data = draw.choice(files)
    for _ in range(draw.randint(1, 6)):
        data = draw.choice(_MUTATIONS)(draw, data, files)
    return data[: 2**17]


def _byte(draw: Random, data: bytes, files: Sequence[bytes]) -> bytes:
    place = draw.randrange(len(data) + 1)
    return data[:place] + draw.randbytes(draw.randint(0, 3)) + data[place + draw.randint(0, 3) :]


def _cut(draw: Random, data: bytes, files: Sequence[bytes]) -> bytes:
    return data[: draw.randrange(len(data) + 1)]


def _elements(draw: Random, data: bytes, files: Sequence[bytes]) -> bytes:
    """An element becomes an odd amount."""
    parts = re.split(rb"([*|~])", data)
    parts[draw.randrange(len(parts))] = draw.choice(ODD_AMOUNTS)
    return b"".join(parts)


def _segments(draw: Random, data: bytes, files: Sequence[bytes]) -> bytes:
    """Segments come twice, in another order, not at all, or from elsewhere."""
    parts = data.split(b"~")
    place, other = draw.randrange(len(parts)), draw.randrange(len(parts))
    how = draw.randrange(4)
    if how == 0:
        parts.insert(place, parts[other])
    elif how == 1:
        parts[place], parts[other] = parts[other], parts[place]
    elif how == 2:
        del parts[place : place + draw.randint(1, 5)]
    else:
        parts.insert(place, draw.choice(ODD_SEGMENTS))
    return b"~".join(parts)


def _delimiter(draw: Random, data: bytes, files: Sequence[bytes]) -> bytes:
    old, new = (bytes([draw.choice(DELIMITERS)]) for _ in range(2))
    return data.replace(old, new, draw.choice((1, 5, -1)))


def _spliced(draw: Random, data: bytes, files: Sequence[bytes]) -> bytes:
    other = draw.choice(files)
    return data[: draw.randrange(len(data) + 1)] + other[draw.randrange(len(other)) :]


def _repeated(draw: Random, data: bytes, files: Sequence[bytes]) -> bytes:
    start = draw.randrange(len(data) + 1)
    part = data[start : start + draw.randint(1, 60)]
    return data[:start] + part * draw.choice((2, 10, 80)) + data[start:]


_MUTATIONS: tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...] = (
    *(_byte, _cut, _elements, _elements, _segments, _segments, _delimiter, _spliced, _repeated),
)


def check(data: bytes, size: int = 4096, *, surveyed: bool = True) -> bool:
    """Whatever the bytes: events or a refusal with a reason, no amount that is none. Whether anything was read."""
    try:
        events = [*read(_parts(data, size))]
    except Unreadable as unreadable:
        return _refused(unreadable.reason)
    assert len(events) <= len(data), "more events than bytes"
    amounts = {amount for event in events for amount in _amounts(event)}
    assert all(amount.is_finite() for amount in amounts)
    if amounts and _USUAL.match(data):
        assert amounts <= _strict(data), f"no amount in the file: {amounts - _strict(data)}"
    _check_sums(events)
    if surveyed:
        claims = sum(isinstance(one, ClaimPayment) for one in events)
        assert sum(one.claim_count for one in survey([data])) == claims
    return True


def _refused(reason: str) -> bool:
    assert reason in REASONS, reason
    return False


def _parts(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def _amounts(event: Event) -> Iterator[Decimal]:
    if isinstance(event, ClaimPayment):
        stated = (event.charge, event.paid, event.patient_responsibility)
        lines = event.service_lines
        told = (amount for line in lines for amount in (line.charge, line.paid, line.allowed))
        adjusted = (one.amount for each in (event, *lines) for one in each.adjustments)
        yield from (abs(amount) for amount in (*stated, *told, *adjusted) if amount is not None)
    elif isinstance(event, ProviderLevelAdjustment):
        yield abs(event.amount)
    elif isinstance(event, RemittanceOpened) and event.header.amount is not None:
        yield abs(event.header.amount)


def _strict(data: bytes) -> set[Decimal]:
    """The values of all that can be an amount in these bytes, sign apart; line ends and padding may be in them."""
    signs = (rb"[\r\n\x00\x1a]", rb"[\r\x00\x1a]", rb"[ \r\x00\x1a]*(?=\r|\n)")
    spellings = (data, *(re.sub(sign, b"", data) for sign in signs))
    runs = {run for spelling in spellings for run in _RUN.findall(spelling)}
    return {abs(Decimal(run.decode())) for run in runs if _STRICT.fullmatch(run) and len(run) <= 20}


def _check_sums(events: Sequence[Event]) -> None:
    """A remittance that is called balanced adds up, by other sums than the reader's own."""
    paid, amount = Decimal(0), None
    for event in events:
        if isinstance(event, RemittanceOpened):
            paid, amount = Decimal(0), event.header.amount
        elif isinstance(event, ClaimPayment):
            paid += event.paid or 0
        elif isinstance(event, ProviderLevelAdjustment):
            paid -= event.amount
        elif isinstance(event, RemittanceClosed) and event.balanced:
            assert paid == amount, f"{paid} is called balanced with {amount}"


def tried(inputs: int, seed: int) -> int:
    """Tries so many files; returns how many of them were read rather than refused."""
    draw, files, was_read = Random(seed), corpus(), 0
    began = _resident()
    for number in range(1, inputs + 1):
        data = mutated(draw, files)
        if number % _WATCHED == 1:
            faulthandler.dump_traceback_later(HANGS_SECONDS, exit=True)
        try:
            size = draw.choice(_SIZES) if len(data) < 4096 else 4096
            was_read += check(data, size, surveyed=number % _SURVEYED_EVERY == 0)
        except BaseException:
            Path("fuzz-failed.835").write_bytes(data)
            print(f"input {number} of seed {seed} is in fuzz-failed.835", file=sys.stderr)
            raise
        if number % _TOLD_EVERY == 0:
            print(
                f"{number:,} inputs, {was_read:,} read, memory grew by {_resident() - began >> 20} MiB", flush=True
            )
            assert _resident() - began < MOST_GROWTH, "memory grows with the number of files"
    faulthandler.cancel_dump_traceback_later()
    return was_read


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def led_by_coverage(arguments: Sequence[str]) -> None:
    """atheris makes the inputs; its own options follow, such as -runs=1000000."""
    import atheris

    atheris.instrument_all()
    atheris.Setup([sys.argv[0], *arguments], check)
    atheris.Fuzz()


def main() -> None:
    """Tries as many files as asked for."""
    parser = argparse.ArgumentParser(prog="fuzzing", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--atheris", action="store_true", help="further options are atheris's own")
    asked, others = parser.parse_known_args()
    if asked.atheris:
        led_by_coverage(others)
    was_read = tried(asked.inputs, asked.seed)
    print(f"{asked.inputs:,} inputs of seed {asked.seed}: {was_read:,} were read, the others refused")


if __name__ == "__main__":
    main()
