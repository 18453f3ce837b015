"""The answer key, which the product never sees; and the referee's whole case in one place."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.remittances.answer import MONEY
from benchmarks.remittances.deposits import Deposit, deposits
from benchmarks.remittances.fates import courses
from benchmarks.remittances.mail import File, Remittance, arriving
from benchmarks.remittances.rates import Rates
from benchmarks.remittances.world import PAYERS, World, world


@dataclass(frozen=True)
class Case:
    """A world, what its payers send in order, what the bank says, and in both what is right."""

    world: World
    files: tuple[File, ...]
    deposits: tuple[Deposit, ...]

    @cached_property
    def once(self) -> tuple[File, ...]:
        """The files without those that come again byte for byte."""
        return tuple(file for file in self.files if not file.again)


def case(seed: int, claims: int, rates: Rates, size: int, payers: int = PAYERS) -> Case:
    """The same for the same seed, number of claims, rates, size of remittances and number of payers."""
    made = world(seed, claims, rates, payers)
    files = tuple(arriving(made, rates, courses(made, rates), size))
    return Case(made, files, tuple(deposits(seed, rates, files)))


def write(found: Case, folder: Path) -> None:
    """The files as payers would send them, and the key beside them, for eyes."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in found.once:
        (folder / file.name).write_bytes(file.content)
    (folder / "key.json").write_text(json.dumps([_told(file) for file in found.files], indent=1))


def _told(file: File) -> dict[str, object]:
    return {"file": file.name, "again": file.again, "remittances": [_remittance(one) for one in file.remittances]}


def _remittance(one: Remittance) -> dict[str, object]:
    payments = [
        {
            "fate": written.fate,
            "sent": written.answer.claim_id,
            "claim": written.expected.claim,
            "clerk": written.expected.clerk,
            "decision": written.expected.decision,
            "exception": written.expected.look,
            "entry": {account: cents for account, cents in written.expected.effect.items() if account != MONEY},
            "paid": written.answer.paid,
        }
        for written in one.written
    ]
    about = {"trace": one.trace, "amount": one.amount, "state": one.state, "exception": one.look}
    return {**about, "entry": dict(one.effect), "claim_payments": payments}
