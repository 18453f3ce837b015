"""Reversals that people match to what they take back."""

from pathlib import Path

from alembic import op

revision = "0014"
down_revision = "0013"
oldest_program = (
    "0014"  # an older one takes what a person has unmatched back again, and sees it as undone for ever
)


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
