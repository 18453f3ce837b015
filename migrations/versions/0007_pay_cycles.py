"""Pay cycles: calendars, holds, payees, what each cycle planned, paid and counted, and what the bank did with
it."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"
oldest_program = "0007"  # proposals may be of acts that an older program does not know


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
