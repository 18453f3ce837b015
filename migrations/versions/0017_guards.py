"""Guards that ask PostgreSQL less often, and never for all entries of a book, whatever it knows of the tables."""

from pathlib import Path

from alembic import op

revision = "0017"
down_revision = "0016"
oldest_program = "0017"  # an older one would look for the guards as they were, and write nothing


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
