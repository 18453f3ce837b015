"""The 835's decimal amounts in the books' minor units."""

from decimal import Decimal
from functools import lru_cache
from typing import overload

from ledger.money import exact


@overload
def minor_units(value: Decimal, currency: str) -> int: ...
@overload
def minor_units(value: None, currency: str) -> None: ...
@overload
def minor_units(value: Decimal | None, currency: str) -> int | None: ...
def minor_units(value: Decimal | None, currency: str) -> int | None:
    """Exactly, or a refusal; what the 835 does not say stays None. Raises AmountTooPrecise, AmountInvalid."""
    return None if value is None else _minor_units(value, currency)


@lru_cache(16_384)
def _minor_units(value: Decimal, currency: str) -> int:
    """Remembered, for the same amount is asked for at every step from the payment to the entry."""
    return exact(value, currency).minor_units
