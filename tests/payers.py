"""What payers send: 835 files written from a few words, and their delivery to a running server.

All people, numbers and amounts are made up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import serving

from reconciliation.v1 import reconciliation_pb2 as pb

NPI = "1234567893"
SIGNED = "1066033492"
"""TRN03 of every payment that does not say otherwise."""


@dataclass(frozen=True)
class Payer:
    """Who pays: N102, N104 and TRN03."""

    name: str = "AETNA"
    number: str = "60054"
    signed: str = SIGNED


def compact(day: str) -> str:
    """`2026-04-08` as the 835 writes it."""
    return day.replace("-", "")


def adjusted(text: str) -> str:
    """`"CO-45 30.00, PR-3 20.00"` as one CAS for each group."""
    groups: dict[str, list[str]] = {}
    for one in filter(None, text.split(", ")):
        code, amount = one.split()
        group, reason = code.split("-")
        groups.setdefault(group, []).extend([reason, amount, ""])
    return "".join("*".join(["CAS", group, *triples]).rstrip("*") + "~" for group, triples in groups.items())


def claim(
    claim_id: str,
    charge: str,
    paid: str,
    cas: str = "",
    *,
    status: str = "1",
    control: str = "",
    day: str = "2026-04-08",
    code: str = "90837",
    session: str = "",
    lines: str | None = None,
) -> str:
    """A CLP loop with one service line that bears everything, or with the lines that are given (none: "")."""
    shares = [one.split()[1] for one in cas.split(", ") if one.startswith("PR-")]
    patient = sum(map(Decimal, shares), Decimal("0.00")) if shares else ""
    head = (
        f"CLP*{claim_id}*{status}*{charge}*{paid}*{patient}*12*{control}*11*1~NM1*QC*1*DOE*JANE****MI*W000000001~"
    )
    if lines is not None:
        return head + (lines or f"{adjusted(cas)}DTM*232*{compact(day)}~")
    return head + "NM1*82*1*CARE*ADA****XX*1112223334~" + line(charge, paid, cas, day, code, session)


def line(
    charge: str, paid: str, cas: str = "", day: str = "2026-04-08", code: str = "90837", session: str = ""
) -> str:
    """An SVC loop."""
    reference = f"REF*6R*{session}~" if session else ""
    return f"SVC*HC:{code}*{charge}*{paid}**1~DTM*472*{compact(day)}~{adjusted(cas)}{reference}"


def remittance(
    amount: str,
    trace: str,
    *loops: str,
    payer: Payer = Payer(),
    day: str = "2026-06-05",
    number: str = "0001",
    currency: str = "",
    sign: str = "C",
) -> str:
    """An ST..SE with a right count. Loops are claims, then PLB segments."""
    method = "ACH*CCP*01*021000021*DA*1111111" if Decimal(amount) else "NON*****"
    body = (
        f"BPR*I*{amount}*{sign}*{method}*{payer.signed}**01*121000358*DA*2222222*{compact(day)}~"
        f"TRN*1*{trace}*{payer.signed}~{f'CUR*PR*{currency}~' if currency else ''}REF*EV*{NPI}~"
        f"DTM*405*{compact(day)}~N1*PR*{payer.name}*XV*{payer.number}~N3*1 PAYER PLAZA~N4*SPRINGFIELD*NV*89000~"
        f"PER*BL*PROVIDER SERVICES*TE*8005550100~N1*PE*EXAMPLE CARE PC*XX*{NPI}~REF*TJ*123456789~LX*1~"
        + "".join(loops)
    )
    return f"ST*835*{number}~{body}SE*{body.count('~') + 2}*{number}~"


def plb(*pairs: tuple[str, str, str]) -> str:
    """A PLB of codes, references and amounts: a positive amount reduces the payment."""
    told = "*".join(f"{code}:{reference}*{amount}".replace(":*", "*") for code, reference, amount in pairs)
    return f"PLB*{NPI}*20261231*{told}~"


def file(*sets: str, number: int = 101, usage: str = "P") -> bytes:
    """The sets in one sound interchange, one segment a line."""
    isa = f"ISA*00*{'':10}*00*{'':10}*ZZ*{'60054':15}*ZZ*{NPI:15}*260605*0930*^*00501*{number:09}*0*{usage}*:~"
    gs = f"GS*HP*60054*{NPI}*20260605*0930*{number}*X*005010X221A1~"
    return (isa + gs + "".join(sets) + f"GE*{len(sets)}*{number}~IEA*1*{number:09}~").replace("~", "~\n").encode()


def parts(data: bytes, book: str, name: str, size: int = 65_536) -> Iterator[pb.IngestRemittanceRequest]:
    """A delivery as it goes over the wire: the header, then the bytes."""
    yield pb.IngestRemittanceRequest(header=pb.RemittanceFileHeader(book=book, file_name=name))
    for start in range(0, len(data), size):
        yield pb.IngestRemittanceRequest(chunk=data[start : start + size])


def deliver(
    ledger: serving.Ledger, data: bytes, book: str = serving.BOOK, name: str = "payment.835"
) -> pb.IngestRemittanceResponse:
    """Delivers a file to a book."""
    return ledger.reconciliation.IngestRemittance(parts(data, book, name))
