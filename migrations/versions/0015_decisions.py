"""What payers took off their claims, by bucket, and what was decided and known of remittances before."""

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"
oldest_program = "0015"  # an older one would change decisions and keep nothing of what they were


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
