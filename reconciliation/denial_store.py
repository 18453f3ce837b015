"""Where denials and the policies on them are kept. Rows are added, and nothing of them changes."""

from collections.abc import Collection
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.errors import DenialNotFound, DenialPolicyNotFound
from reconciliation.denials import OPEN, Denial, Place, Policy, State
from reconciliation.schema import denial_policies, denials

_LATEST = text("""
    SELECT * FROM (
        SELECT DISTINCT ON (claim, payer) d.*,
            (SELECT min(f.effective_date) FROM denials AS f
             WHERE f.book = d.book AND f.claim = d.claim AND f.payer = d.payer) AS denied_on
        FROM denials AS d
        WHERE book = :book AND (claim, payer) > (:claim, :payer)
        ORDER BY claim, payer, version DESC
    ) AS last
    WHERE (CAST(:states AS text[]) IS NULL OR state = ANY(CAST(:states AS text[])))
        AND (CAST(:claims AS text[]) IS NULL OR claim = ANY(CAST(:claims AS text[])))
    ORDER BY claim, payer LIMIT :most
""")

_OF_CLAIMS = text("""
    SELECT DISTINCT ON (claim) * FROM denials
    WHERE book = :book AND payer = :payer AND claim = ANY(CAST(:claims AS text[]))
    ORDER BY claim, version DESC
""")
_DECIDED_SINCE = text("""
    SELECT DISTINCT d.claim
    FROM denials AS d
    JOIN claim_payments AS c ON c.book = d.book AND c.remittance = d.remittance AND c.line = d.line
    WHERE d.book = :book AND d.payer = :payer AND d.claim = ANY(CAST(:claims AS text[]))
        AND d.said_at > CAST(:moment AS timestamptz) AND (d.remittance, d.line) <> (:remittance, :line)
        AND c.rule <> 'unmatched' AND NOT EXISTS (
            SELECT FROM denials AS b
            WHERE b.book = d.book AND b.claim = d.claim AND b.payer = d.payer
                AND b.remittance = d.remittance AND b.line = d.line AND b.said_at <= CAST(:moment AS timestamptz)
        )
    ORDER BY d.claim
""")


async def of_claims(
    connection: AsyncConnection, book: str, payer: str, claims: Collection[str]
) -> dict[str, Denial]:
    """How this payer's denials of these claims stand."""
    rows = await connection.execute(_OF_CLAIMS, {"book": book, "payer": payer, "claims": [*claims]})
    return {row.claim: denial(row) for row in rows}


async def standing(connection: AsyncConnection, book: str, claim: str, payer: str) -> Denial:
    """How one denial stands. Raises DenialNotFound."""
    found = (await of_claims(connection, book, payer, [claim])).get(claim)
    if found is None:
        raise DenialNotFound(f"{payer} has denied no claim {claim}", claim=claim, payer=payer)
    return found


async def history(connection: AsyncConnection, book: str, claim: str, payer: str) -> list[Row[Any]]:
    """All that became of a denial, oldest first. Raises DenialNotFound."""
    wanted = select(denials).where(denials.c.book == book, denials.c.claim == claim, denials.c.payer == payer)
    rows = list((await connection.execute(wanted.order_by(denials.c.version))).all())
    if not rows:
        raise DenialNotFound(f"{payer} has denied no claim {claim}", claim=claim, payer=payer)
    return rows


async def latest(
    connection: AsyncConnection,
    book: str,
    states: Collection[State] | None,
    after: tuple[str, str],
    most: int,
    claims: Collection[str] | None = None,
) -> list[Row[Any]]:
    """Denials as they stand with the day on which each was first denied, by claim and payer; None is all."""
    asked = {"book": book, "claim": after[0], "payer": after[1], "most": most}
    narrowed = {"states": None if states is None else [*states], "claims": None if claims is None else [*claims]}
    return list((await connection.execute(_LATEST, {**asked, **narrowed})).all())


async def all_open(connection: AsyncConnection, book: str, claims: Collection[str] | None = None) -> list[Denial]:
    """Every denial, of these claims or of all, that is neither paid after all nor absorbed."""
    rows = await latest(connection, book, OPEN, ("", ""), 1_000_000, claims)
    return [denial(row) for row in rows]


async def decided_since(
    connection: AsyncConnection, book: str, payer: str, claims: Collection[str], moment: datetime, but: Place
) -> list[str]:
    """Those of the claims on whose denial by this payer another claim payment than one has decided since.

    One that was taken from the claim again is none, nor is what stands again since before.
    """
    asked = {"book": book, "payer": payer, "claims": [*claims], "moment": moment}
    rows = await connection.execute(_DECIDED_SINCE, asked | {"remittance": UUID(but[0]), "line": but[1]})
    return list(rows.scalars())


async def add(connection: AsyncConnection, book: str, found: Collection[Denial]) -> None:
    """Writes new versions, while the head of the book is held."""
    if found:
        await connection.execute(insert(denials), [_row(book, one) for one in found])


def _row(book: str, one: Denial) -> dict[str, Any]:
    return {
        "book": book,
        "claim": one.claim,
        "payer": one.payer,
        "version": one.version,
        "state": one.state,
        "effective_date": one.effective_date,
        "open": one.open,
        "currency": one.currency,
        "codes": list(one.codes),
        "reason": one.reason,
        "policy": one.policy,
        "remittance": UUID(one.remittance) if one.remittance else None,
        "line": one.line,
        "entry_number": one.entry_number,
        "said_by": one.said_by,
    }


def denial(row: Row[Any]) -> Denial:
    """A row as a denial."""
    return Denial(
        claim=row.claim,
        payer=row.payer,
        state=State(row.state),
        effective_date=row.effective_date,
        open=row.open,
        currency=row.currency,
        codes=tuple(row.codes),
        reason=row.reason,
        policy=row.policy,
        version=row.version,
        remittance=str(row.remittance) if row.remittance else None,
        line=row.line,
        entry_number=row.entry_number,
        said_by=row.said_by,
    )


async def policies(connection: AsyncConnection, book: str) -> list[Row[Any]]:
    """The latest version of each policy, by name."""
    wanted = select(denial_policies).ext(distinct_on(denial_policies.c.name))
    last = wanted.where(denial_policies.c.book == book)
    ordered = last.order_by(denial_policies.c.name, denial_policies.c.version.desc())
    return list((await connection.execute(ordered)).all())


async def policy(connection: AsyncConnection, book: str, name: str) -> Policy:
    """A policy in force. Raises DenialPolicyNotFound."""
    for row in await policies(connection, book):
        if row.name == name:
            return policy_of(row)
    raise DenialPolicyNotFound(f"no policy {name} in this book", policy=name)


def policy_of(row: Row[Any]) -> Policy:
    """A row as a policy."""
    names = ("name", "enabled", "payer", "currency", "largest", "age_days", "reason", "set_by", "version")
    return Policy(codes=tuple(row.codes), **{name: getattr(row, name) for name in names})


async def set_policy(connection: AsyncConnection, book: str, wanted: Policy) -> None:
    """Writes the next version of a policy, while the head of the book is held."""
    names = ("name", "enabled", "payer", "currency", "largest", "age_days", "reason", "set_by", "version")
    values = {"book": book, "codes": list(wanted.codes), **{name: getattr(wanted, name) for name in names}}
    await connection.execute(insert(denial_policies).values(values))


def age(denied_on: date, day: date | None) -> int:
    """Days since it was denied; 0 where no day is asked about."""
    return (day - denied_on).days if day else 0
