"""Approvals: limits above which a second person is needed, proposals and what was decided on them; reasons."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
oldest_program = "0004"  # identifiers of payers have another key, and accounts want a reason to be closed


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
