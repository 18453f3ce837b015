"""Periods: months of a book that are soft-closed, closed with a frozen trial balance, and reopened."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
oldest_program = (
    "0006"  # an older one would fail whole batches for one entry of a closed month, and knows fewer acts
)


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
