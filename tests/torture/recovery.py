"""What PostgreSQL can be brought back from: a base backup, and the WAL that was kept since."""

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import make_url

from service.backup import call
from service.postgres import programs
from torture.processes import PATIENCE_SECONDS, Postgres

REPLICA = "replica"
"""The name under which a receiver of WAL makes itself known."""
_SEGMENT = 24
"""How many letters the name of a file of WAL has."""


def run(program: str, url: str, *arguments: str) -> None:
    """Runs one of PostgreSQL's programs against a database."""
    command, environment = call(str(programs() / "bin" / program), make_url(url), *arguments)
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{program}: {done.stderr}"


def base_backup(url: str, folder: Path) -> None:
    """A copy of all data files, taken while PostgreSQL goes on."""
    run("pg_basebackup", url, f"--pgdata={folder}", "--checkpoint=fast", "--wal-method=stream")


def recover(postgres: Postgres, base: Path, wal: Path, *, standby: bool = False) -> None:
    """Puts a base backup in the place of lost data, and starts it: it takes in all the WAL that was kept.

    A standby can then be read, and takes writes once it is promoted.
    """
    owner = postgres.data.stat()
    lost = postgres.data.with_name("lost")
    shutil.rmtree(lost, ignore_errors=True)
    postgres.data.rename(lost)
    shutil.copytree(base, postgres.data)
    with (postgres.data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f'restore_command = \'cp "{wal}/%f" "%p"\'\n')
    (postgres.data / ("standby.signal" if standby else "recovery.signal")).touch()
    for folder in (postgres.data, wal):
        give(folder, owner)
    postgres.start()
    shutil.rmtree(lost, ignore_errors=True)


def give(folder: Path, owner: os.stat_result) -> None:
    """Everything in a folder becomes the property of the one that PostgreSQL runs as."""
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


class Receiver:
    """A `pg_receivewal` that PostgreSQL waits for at every commit: the least that a synchronous replica can be."""

    def __init__(self, url: str, folder: Path) -> None:
        """`url` is the owner's. Nothing is started."""
        self._url = make_url(url).update_query_dict({"application_name": REPLICA})
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Goes on where it was; PostgreSQL keeps for it what it has not had."""
        self._folder.mkdir(exist_ok=True)
        program = str(programs() / "bin" / "pg_receivewal")
        slot = f"--slot={REPLICA}"
        if self._process is None:
            run("pg_receivewal", self._url.render_as_string(hide_password=False), slot, "--create-slot")
        options = (f"--directory={self._folder}", slot, "--synchronous", "--no-loop")
        command, environment = call(program, self._url, *options)
        with self._folder.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """Ends it in the middle of what it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE_SECONDS)

    def kept(self, folder: Path) -> Path:
        """All that it has received, as an archive of WAL to recover from; the file it was writing among it."""
        folder.mkdir()
        for file in self._folder.iterdir():
            shutil.copy(file, folder / file.name[:_SEGMENT].removesuffix(".partial"))
        return folder
