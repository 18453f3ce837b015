"""How often payers and banks do what: each rate is an option of the command line."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of claims, of remittances (interest to unbalanced) and of deposits; what is left is clean."""

    damaged: float = 0.02
    """Claim id missing, cut short, in small letters or garbled, a quarter each."""
    foreign: float = 0.003
    """Payments for claims of another practice, beside our own."""
    charge: float = 0.01
    """The charge is not the one billed."""
    recoded: float = 0.01
    """Procedure changed, or two of them bundled in one."""
    split: float = 0.005
    """One line answered in two."""
    partial: float = 0.03
    overpaid: float = 0.005
    denied: float = 0.015
    """With status 4."""
    denied_unsaid: float = 0.05
    """With status 1."""
    share: float = 0.15
    """The patient's share is not the one estimated."""
    secondary: float = 0.03
    """A second payer pays the patient's share."""
    reversed_together: float = 0.01
    """Taken back and corrected in one file."""
    reversed_later: float = 0.007
    """Taken back in one file and corrected in a later one."""
    corrected_first: float = 0.001
    """Corrected in one file and taken back in a later one."""
    taken_back: float = 0.005
    """Overpaid, and what was too much kept back from a later payment."""
    twins: float = 0.01
    """Two patients of one name, with the same payer, day and procedure."""
    interest: float = 0.01
    forwarded: float = 0.01
    """A balance below zero that is carried through one to four remittances."""
    same_bytes: float = 0.005
    """The file comes again as it was."""
    reenveloped: float = 0.003
    """The same payments come again in another envelope."""
    trace_reused: float = 0.001
    """The same trace comes again with other content."""
    unbalanced: float = 0.005
    """Something does not add up; a sound one follows."""
    deposits: float = 0.01
    """Deposited late, early, never, in another amount or in two parts, a fifth each."""

    def __post_init__(self) -> None:
        """Refuses shares of nothing that is a share, and more than everything."""
        for field in fields(self):
            if not 0 <= getattr(self, field.name) <= 1:
                raise ValueError(f"{field.name} is no share between 0 and 1")
        if sum(getattr(self, name) for name in FATES) > 1:
            raise ValueError("the shares of claims add up to more than all of them")

    def count(self, name: str, of: int) -> int:
        """How many of so many: rounded, and at least one where the rate is not zero and there are any."""
        share: float = getattr(self, name)
        return min(of, max(round(share * of), 1)) if share else 0


FATES = (
    *("damaged", "charge", "recoded", "split", "partial", "overpaid", "denied", "denied_unsaid", "secondary"),
    *("reversed_together", "reversed_later", "corrected_first", "taken_back"),
)
"""What can become of a claim; each claim has one of these or is clean."""
