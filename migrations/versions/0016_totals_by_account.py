"""Recorded totals with one row for an account in a segment, and its days in it."""

from pathlib import Path

from alembic import op

revision = "0016"
down_revision = "0015"
oldest_program = "0016"  # an older one would look for a row for each day


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
