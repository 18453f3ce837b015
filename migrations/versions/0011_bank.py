"""The bank: statements, deposits, what they were applied to, and when a payer's remittances are posted."""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"
oldest_program = "0011"  # an older one would take statements for remittances, and knows none that waits


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
