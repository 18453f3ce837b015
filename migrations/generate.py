"""Write into guards.sql what the migrations make of an empty database: python -m migrations.generate."""

import re
import tempfile
from pathlib import Path

from sqlalchemy import Connection, create_engine

from ledger.database import migrate
from service.postgres import embedded

GUARDS = Path(__file__).with_name("guards.sql")
_MIGRATED = re.compile(r"(?<=-- migrated: begin\n).*?(?= *-- migrated: end)", re.DOTALL)


def listed(connection: Connection) -> str:
    """The text of guards.sql with the list of what this database has."""
    script = GUARDS.read_text()
    relations = script[script.index("), relations AS (") + 3 : script.index("), roles (role, said)")]
    place = script[script.index("WITH place") : script.index("), migrated")]
    found = f'{place}), {relations}) SELECT kind, subject, said FROM found ORDER BY kind, subject COLLATE "C"'  # noqa: S608 - our own
    rows = connection.exec_driver_sql(found.replace("%", "%%")).all()
    values = ",\n".join(f"        ({', '.join(map(_quoted, row))})" for row in rows)
    return _MIGRATED.sub(lambda _: f"{values}\n", script)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def main() -> None:
    """Migrate a new PostgreSQL, and list what is there."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        with embedded(Path(folder)) as urls:
            migrate(urls.owner)
            engine = create_engine(urls.owner)
            with engine.connect() as connection:
                GUARDS.write_text(listed(connection))
            engine.dispose()


if __name__ == "__main__":
    main()
