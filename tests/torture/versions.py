"""The program as it was before its newest migration, and as it may be after a next one: trees of files."""

import shutil
from pathlib import Path

from torture.processes import ROOT

_PACKAGES = ("ledger", "reconciliation", "service", "migrations")
_NEXT_PY = '''"""Made up: what a next version may do."""

from pathlib import Path

from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    """Runs the SQL file of the same name."""
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text())
'''
_NEXT_SQL = """
ALTER TABLE entries ADD COLUMN next_note text;
ALTER TABLE postings ADD COLUMN next_part integer NOT NULL DEFAULT 0;
ALTER TABLE heads ADD COLUMN next_number bigint;
CREATE TABLE next_notes (
    book text COLLATE "C" NOT NULL REFERENCES books,
    number bigint NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (book, number)
);
GRANT SELECT, INSERT ON next_notes TO ledger_program;
"""


def newest(root: Path) -> str:
    """The newest version that a tree has a migration for."""
    return max(path.stem.partition("_")[0] for path in (root / "migrations" / "versions").glob("*.sql"))


def one_back(folder: Path) -> Path:
    """This program without its newest migration."""
    tree = copied(folder)
    for path in (tree / "migrations" / "versions").glob(f"{newest(ROOT)}_*"):
        path.unlink()
    return tree


def one_on(folder: Path, sql: str = _NEXT_SQL, after: Path = ROOT) -> Path:
    """A program with a further migration, which adds to the tables that postings go to."""
    tree, before = copied(folder, after), newest(after)
    revision = f"{int(before) + 1:04}"
    place = tree / "migrations" / "versions" / f"{revision}_next"
    place.with_suffix(".py").write_text(_NEXT_PY.format(revision=revision, before=before))
    place.with_suffix(".sql").write_text(sql)
    return tree


def copied(folder: Path, root: Path = ROOT) -> Path:
    """A copy of the program in a folder of its own."""
    for package in _PACKAGES:
        shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder
