"""One thing that is wrong with the books, as `ledger check` says it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is not as it must be; `book` is empty where it concerns all of them."""

    check_name: str
    book: str
    subject: str
    expected: str
    found: str

    def __str__(self) -> str:
        place = f"book {self.book}: " if self.book else ""
        return f"{self.check_name}: {place}{self.subject}: expected {self.expected}, found {self.found}"
