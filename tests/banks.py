"""What banks send: BAI2 and CAMT.053 statements written from a few words, and their delivery to a running server.

All people, numbers and amounts are made up.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import serving
from payers import SIGNED

from reconciliation.v1 import bank_pb2 as pb

ACCOUNT = "0012345678"


@dataclass(frozen=True)
class Moved:
    """One line of a statement: an amount with its sign, the bank's reference, type code and words."""

    amount: str
    reference: str = ""
    text: str = ""
    code: str = ""


def moved(
    amount: str, *traces: str, payer: str = SIGNED, reference: str = "", code: str = "", words: str = ""
) -> Moved:
    """Money that came, or went where it is negative, with the payments that it names."""
    named = "".join(f"TRN*1*{trace}{f'*{payer}' if payer else ''}\\" for trace in traces)
    return Moved(amount, reference, f"{words}{named}", code)


def cents(text: str) -> int:
    return int(Decimal(text) * 100)


def bai2(
    *statements: str, day: str = "2026-06-15", status: str = "1", kind: str = "2", currency: str = ""
) -> bytes:
    """The statements in one sound group and file."""
    told = day.replace("-", "")[2:]
    totals = [int(one.rsplit("49,", 1)[1].split(",")[0]) for one in statements]
    records = sum(one.count("\n") for one in statements)
    body = "".join(statements)
    return (
        f"01,121000358,EXAMPLECARE,{told},0600,1,,,2/\n02,EXAMPLECARE,121000358,{status},{told},2359,{currency},{kind}/\n"
        f"{body}98,{sum(totals)},{len(statements)},{records + 2}/\n99,{sum(totals)},1,{records + 4}/\n"
    ).encode()


def account(*lines: Moved, account: str = ACCOUNT) -> str:
    """One account with its lines and its totals."""
    records = [f"03,{account},USD,010,1000,,/"]
    for line in lines:
        came = cents(line.amount)
        code = line.code or ("165" if came > 0 else "475")
        records.append(
            f"16,{code},{abs(came)},0,{line.reference},,{line.text}"
            if line.text
            else f"16,{code},{abs(came)},0,{line.reference}/"
        )
    total = 1000 + sum(abs(cents(line.amount)) for line in lines)
    return "".join(f"{record}\n" for record in (*records, f"49,{total},{len(records) + 1}/"))


def statement(*lines: Moved, **more: Any) -> bytes:
    """One account in a BAI2 file of its own."""
    its = {"account": more.pop("account")} if "account" in more else {}
    return bai2(account(*lines, **its), **more)


def camt053(*lines: Moved, day: str = "2026-06-15", account: str = ACCOUNT, currency: str = "USD") -> bytes:
    """One account in a CAMT.053 file of its own."""
    came = sum(cents(line.amount) for line in lines)
    entries = "".join(_entry(line, day, currency) for line in lines)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>'
        f"<GrpHdr><MsgId>M1</MsgId><CreDtTm>{day}T06:00:00</CreDtTm></GrpHdr><Stmt><Id>S1</Id>"
        f"<Acct><Id><Othr><Id>{account}</Id></Othr></Id><Ccy>{currency}</Ccy></Acct>"
        f"{_balance('OPBD', 1000, day, currency)}{_balance('CLBD', 1000 + came, day, currency)}{entries}"
        "</Stmt></BkToCstmrStmt></Document>"
    ).encode()


def _balance(code: str, minor: int, day: str, currency: str) -> str:
    way = "CRDT" if minor >= 0 else "DBIT"
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{abs(minor) // 100}.{abs(minor) % 100:02}</Amt><CdtDbtInd>{way}</CdtDbtInd>'
        f"<Dt><Dt>{day}</Dt></Dt></Bal>"
    )


def _entry(line: Moved, day: str, currency: str) -> str:
    way = "DBIT" if line.amount.startswith("-") else "CRDT"
    back = "<RvslInd>true</RvslInd>" if line.code else ""
    words = (
        f"<NtryDtls><TxDtls><RmtInf><Ustrd>{line.text}</Ustrd></RmtInf></TxDtls></NtryDtls>" if line.text else ""
    )
    reference = f"<AcctSvcrRef>{line.reference}</AcctSvcrRef>" if line.reference else ""
    return (
        f'<Ntry><Amt Ccy="{currency}">{line.amount.lstrip("-")}</Amt><CdtDbtInd>{way}</CdtDbtInd>{back}'
        f"<Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>{day}</Dt></BookgDt>{reference}{words}</Ntry>"
    )


def parts(data: bytes, book: str, name: str, size: int = 65_536) -> Iterator[pb.IngestBankStatementRequest]:
    """A delivery as it goes over the wire: the header, then the bytes."""
    yield pb.IngestBankStatementRequest(header=pb.BankStatementFileHeader(book=book, file_name=name))
    for start in range(0, len(data), size):
        yield pb.IngestBankStatementRequest(chunk=data[start : start + size])


def banked(ledger: serving.Ledger, data: bytes, name: str = "bank.bai") -> pb.IngestBankStatementResponse:
    """Delivers a statement to the book that the questions are about."""
    return ledger.bank.IngestBankStatement(parts(data, ledger.book, name))
