"""The 835 reader against files with things wrong in them: a short run of `make fuzz`, and Hypothesis's ideas."""

from decimal import Decimal
from random import Random

import fuzzing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation.remittance import ClaimPayment, read

FILES = fuzzing.corpus()


def test_files_with_things_wrong_are_read_or_refused() -> None:
    """At least one in ten is still read, or the mutations would test the refusals only."""
    assert fuzzing.tried(400, 7) > 40


@given(st.integers(0, 2**32), st.sampled_from(FILES), st.lists(st.binary(max_size=40), max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_bytes_in_any_place(seed: int, data: bytes, pieces: list[bytes]) -> None:
    draw = Random(seed)
    for piece in pieces:
        place = draw.randrange(len(data))
        data = data[:place] + piece + data[place:]
    fuzzing.check(data)


@pytest.mark.parametrize("text", fuzzing.ODD_AMOUNTS)
def test_an_odd_amount_is_never_read_as_another(text: bytes) -> None:
    """CLP04 of the first claim; what reads as a number at all is one by X12's own grammar."""
    data = FILES[0]
    first = data.index(b"CLP*") if b"CLP*" in data else data.index(b"CLP|")
    separator = data[first + 3 : first + 4]
    elements = data[first:].split(separator)
    elements[4] = text
    fuzzing.check(data[:first] + separator.join(elements))
    claims = [one for one in read([data[:first] + separator.join(elements)]) if isinstance(one, ClaimPayment)]
    assert claims[0].paid is None or isinstance(claims[0].paid, Decimal)


def test_the_check_would_see_an_amount_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that takes 1e3 for a thousand is caught."""
    from reconciliation import balancing

    balancing._money.cache_clear()
    monkeypatch.setattr(balancing, "decimal", lambda text: Decimal(text) if text != "" else None)
    data = FILES[0].replace(b"*310*", b"*31e1*", 1)
    if data == FILES[0]:
        data = next(one for one in FILES if b"*250*" in one).replace(b"*250*", b"*77e9*")
    try:
        with pytest.raises(AssertionError, match="no amount in the file"):
            fuzzing.check(data)
    finally:
        balancing._money.cache_clear()
