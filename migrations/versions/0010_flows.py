"""Flows: payers of a claim by rank, code tables, denials and their policies, payees, a provider's own fault."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"
oldest_program = "0010"  # entries and decisions have kinds that an older program does not know


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
