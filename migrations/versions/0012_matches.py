"""Claim payments that people match, split and unmatch, and what one of them may match alone."""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"
oldest_program = "0012"  # an older one would match again what a person has unmatched


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
