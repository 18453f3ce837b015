"""An independent reader of NACHA files, from the record layout alone: it shares nothing with the writer.

Columns are counted from 1, as the layout has them. It adds up what it reads, and compares with every control.
"""

from dataclasses import dataclass, field


class Wrong(Exception):
    """The file is not one that a bank would take; the message says why."""


# record: name -> first and last column
FILE_HEADER = {"priority": (2, 3), "destination": (4, 13), "origin": (14, 23), "date": (24, 29), "time": (30, 33)}
FILE_HEADER |= {"modifier": (34, 34), "size": (35, 37), "blocking": (38, 39), "format": (40, 40)}
FILE_HEADER |= {"destination_name": (41, 63), "origin_name": (64, 86), "reference": (87, 94)}
BATCH_HEADER = {
    "service": (2, 4),
    "company": (5, 20),
    "discretionary": (21, 40),
    "id": (41, 50),
    "class": (51, 53),
}
BATCH_HEADER |= {"description": (54, 63), "descriptive_date": (64, 69), "effective": (70, 75), "settled": (76, 78)}
BATCH_HEADER |= {"status": (79, 79), "bank": (80, 87), "number": (88, 94)}
ENTRY = {"code": (2, 3), "routing": (4, 11), "check": (12, 12), "account": (13, 29), "amount": (30, 39)}
ENTRY |= {"who": (40, 54), "name": (55, 76), "discretionary": (77, 78), "addenda": (79, 79), "trace": (80, 94)}
ADDENDA = {"type": (2, 3), "text": (4, 83), "sequence": (84, 87), "of": (88, 94)}
BATCH_CONTROL = {"service": (2, 4), "count": (5, 10), "hash": (11, 20), "debits": (21, 32), "credits": (33, 44)}
BATCH_CONTROL |= {
    "id": (45, 54),
    "authentication": (55, 73),
    "reserved": (74, 79),
    "bank": (80, 87),
    "number": (88, 94),
}
FILE_CONTROL = {"batches": (2, 7), "blocks": (8, 13), "count": (14, 21), "hash": (22, 31), "debits": (32, 43)}
FILE_CONTROL |= {"credits": (44, 55), "reserved": (56, 94)}
CREDITS, DEBITS = {"22", "32"}, {"27", "37"}
ALLOWED = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .,&'/()-")


@dataclass
class Entry:
    """One entry, with the text of its addenda record."""

    code: str
    routing: str
    account: str
    cents: int
    who: str
    name: str
    trace: str
    text: str = ""


@dataclass
class Batch:
    """One batch."""

    kind: str
    header: dict[str, str]
    entries: list[Entry] = field(default_factory=list)


def cut(line: str, columns: dict[str, tuple[int, int]]) -> dict[str, str]:
    """A record in its fields."""
    return {name: line[first - 1 : last] for name, (first, last) in columns.items()}


def number(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise Wrong(f"{text!r} is no number")
    return int(text)


def expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Wrong(f"{what}: expected {expected}, found {found}")


def read(content: bytes) -> tuple[dict[str, str], list[Batch]]:
    """The file's header and batches, once every count, hash and total in it ties. Raises Wrong."""
    text = content.decode("ascii")
    if not text.endswith("\n") or "\r" in text:
        raise Wrong("a record does not end with a line feed")
    lines = text[:-1].split("\n")
    for line in lines:
        expect("length of a record", len(line), 94)
        if strange := set(line) - ALLOWED:
            raise Wrong(f"characters that a bank does not take: {strange}")
    expect("records fill blocks of ten", len(lines) % 10, 0)
    header = cut(lines[0], FILE_HEADER)
    expect("first record", lines[0][0], "1")
    expect("size of records", (header["size"], header["blocking"], header["format"]), ("094", "10", "1"))
    last = next(place for place, line in enumerate(lines) if line[0] == "9")
    if any(line != "9" * 94 for line in lines[last + 1 :]) or len(lines) - last - 1 > 9:
        raise Wrong("what follows the file control is not filling")
    batches, count, hashed, debits, credits_ = _batches(lines[1:last])
    control = cut(lines[last], FILE_CONTROL)
    expect("batches of the file", number(control["batches"]), len(batches))
    expect("blocks of the file", number(control["blocks"]), len(lines) // 10)
    expect("entries of the file", number(control["count"]), count)
    expect("hash of the file", number(control["hash"]), hashed % 10**10)
    expect("debits of the file", number(control["debits"]), debits)
    expect("credits of the file", number(control["credits"]), credits_)
    traces = [entry.trace for batch in batches for entry in batch.entries]
    expect("traces ascend", traces, sorted(set(traces)))
    return header, batches


def _batches(lines: list[str]) -> tuple[list[Batch], int, int, int, int]:
    batches: list[Batch] = []
    totals = [0, 0, 0, 0]
    place = 0
    while place < len(lines):
        end = next((n for n in range(place, len(lines)) if lines[n][0] == "8"), None)
        if lines[place][0] != "5" or end is None:
            raise Wrong("a batch has no header or no control")
        sums, batch = _batch(lines[place : end + 1], len(batches) + 1)
        batches.append(batch)
        totals = [one + other for one, other in zip(totals, sums, strict=True)]
        place = end + 1
    return batches, totals[0], totals[1], totals[2], totals[3]


def _batch(lines: list[str], place: int) -> tuple[list[int], Batch]:
    header, control = cut(lines[0], BATCH_HEADER), cut(lines[-1], BATCH_CONTROL)
    batch = Batch(header["class"], header)
    count = hashed = debits = credits_ = 0
    wanted = False
    for line in lines[1:-1]:
        count += 1
        if line[0] == "6":
            if wanted:
                raise Wrong("an addenda record is missing")
            one = cut(line, ENTRY)
            digits = [int(digit) for digit in one["routing"] + one["check"]]
            weighed = sum(digit * (3, 7, 1)[n % 3] for n, digit in enumerate(digits))
            expect("check digit of a routing number", weighed % 10, 0)
            expect("trace begins with the bank", one["trace"][:8], header["bank"])
            hashed, cents = hashed + number(one["routing"]), number(one["amount"])
            if one["code"] in CREDITS:
                credits_ += cents
            elif one["code"] in DEBITS:
                debits += cents
            else:
                raise Wrong(f"transaction code {one['code']}")
            wanted = one["addenda"] == "1"
            fields = (one["account"].strip(), cents, one["who"].strip(), one["name"].strip(), one["trace"])
            batch.entries.append(Entry(one["code"], one["routing"] + one["check"], *fields))
        elif line[0] == "7":
            one = cut(line, ADDENDA)
            expect(
                "an addenda record follows its entry", (wanted, one["type"], one["sequence"]), (True, "05", "0001")
            )
            expect("it names its entry", one["of"], batch.entries[-1].trace[-7:])
            batch.entries[-1].text, wanted = one["text"].strip(), False
        else:
            raise Wrong(f"a record {line[0]} inside of a batch")
    if wanted:
        raise Wrong("an addenda record is missing")
    expect("service class", (header["service"], control["service"]), ("200", "200"))
    expect("batch number", (number(header["number"]), number(control["number"])), (place, place))
    expect("company", (control["id"], control["bank"]), (header["id"], header["bank"]))
    expect("records of the batch", number(control["count"]), count)
    expect("hash of the batch", number(control["hash"]), hashed % 10**10)
    expect("debits of the batch", number(control["debits"]), debits)
    expect("credits of the batch", number(control["credits"]), credits_)
    expect("the batch balances", debits, credits_)
    return [count, hashed, debits, credits_], batch
