"""The worklist: whose each exception is, what became of it, and how much may be written off."""

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"
oldest_program = "0013"  # an older one would close exceptions without saying so, and asks for their owner's column


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
