"""The code tables: every code has a label of ours and exactly one place to go; unknown codes go to suspense."""

import pytest

from reconciliation.codes import (
    ADJUSTMENT_REASONS,
    CLAIM_STATUSES,
    PLB,
    AccountRole,
    Bucket,
    adjustment_bucket,
    fraction_digits,
    provider_level_code,
)


@pytest.mark.parametrize(
    ("group", "reason", "expected"),
    [
        ("PR", "1", Bucket.PATIENT),
        ("PR", "96", Bucket.PATIENT),  # the group decides, whatever the code
        ("PR", "XYZ", Bucket.PATIENT),
        ("OA", "23", Bucket.OTHER_PAYER),
        ("CO", "45", Bucket.CONTRACTUAL),
        ("CO", "253", Bucket.CONTRACTUAL),
        ("PI", "45", Bucket.CONTRACTUAL),
        ("CO", "29", Bucket.DENIAL),
        ("PI", "50", Bucket.DENIAL),
        ("OA", "18", Bucket.DENIAL),
        ("OA", "45", Bucket.SUSPENSE),  # "other" is not the contract
        ("CO", "23", Bucket.SUSPENSE),
        ("CO", "1", Bucket.SUSPENSE),  # a deductible that is not called the patient's
        ("CO", "101", Bucket.SUSPENSE),
        ("CO", "999", Bucket.SUSPENSE),
        ("CR", "45", Bucket.SUSPENSE),
        ("", "45", Bucket.SUSPENSE),
        ("CO", "", Bucket.SUSPENSE),
        ("co", "45", Bucket.SUSPENSE),
    ],
)
def test_adjustment_bucket(group: str, reason: str, expected: Bucket) -> None:
    assert adjustment_bucket(group, reason) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("L6", AccountRole.INTEREST),
        ("WO", AccountRole.PAYER_OVERPAYMENTS),
        ("72", AccountRole.PAYER_OVERPAYMENTS),
        ("FB", AccountRole.FORWARD_BALANCES),
        ("CS", AccountRole.PAYER_ADJUSTMENTS),
        ("CT", AccountRole.SUSPENSE),
        ("XX", AccountRole.SUSPENSE),
        ("", AccountRole.SUSPENSE),
    ],
)
def test_provider_level_code(code: str, expected: AccountRole) -> None:
    assert provider_level_code(code).account is expected


def test_only_five_provider_level_codes_leave_suspense() -> None:
    assert {code for code, line in PLB.items() if line.account is not AccountRole.SUSPENSE} == {
        "L6",
        "WO",
        "72",
        "FB",
        "CS",
    }


def test_every_code_has_a_label_of_its_own_table() -> None:
    for table in (ADJUSTMENT_REASONS, PLB, CLAIM_STATUSES):
        assert all(code == code.strip().upper() and 0 < len(line.label) <= 60 for code, line in table.items())
    assert len(ADJUSTMENT_REASONS) > 80


def test_statuses_that_post_nothing() -> None:
    posts = {code for code, status in CLAIM_STATUSES.items() if status.posts}
    assert posts == {"1", "2", "3", "4", "19", "20", "21", "22"}


@pytest.mark.parametrize(
    ("currency", "expected"), [("USD", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("QQQ", 4), (None, 4), ("", 4)]
)
def test_fraction_digits(currency: str | None, expected: int) -> None:
    assert fraction_digits(currency) == expected
