"""The processes that are disturbed: the program's own server, and a PostgreSQL."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import psycopg
from commanding import commands
from sqlalchemy import make_url

from service.postgres import Urls

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 180
"""After so long a process that should have answered or ended is given up, and the run fails."""
_PORTS = range(20_000, 30_000)  # below those that the system hands out by itself
_signs: list[socket.socket] = []
_LAST_LINES = 12
_USUAL_FILES = 256
"""As few files as some systems (macOS) let a program open that does not ask for more; Linux gives 1,024."""


class Served:
    """A server process of the program: one address for all of its lives, one log."""

    def __init__(self, url: str, folder: Path, name: str = "server", root: Path = ROOT, **settings: str) -> None:
        """`url` is the database it serves; its log goes into `folder`; `settings` are further variables.

        `root` is the tree of the program. Nothing is started.
        """
        self._root = root
        self.address = f"127.0.0.1:{free_port()}"
        self.log = folder / f"{name}.log"
        self._metrics = f"127.0.0.1:{free_port()}"
        self._environment = environment(url) | {"LEDGER_METRICS_LISTEN": self._metrics} | settings
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process of its present life, or of its last one."""
        assert self._process is not None
        return self._process

    def start(self) -> None:
        """A new life; returns once it accepts calls."""
        command = [sys.executable, "-m", "service", "serve", "--insecure", "--listen", self.address]
        command = ["sh", "-c", f'ulimit -S -n {_USUAL_FILES} && exec "$0" "$@"', *command]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=self._root, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not _accepts(self.address):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server did not start:\n{self.last_lines()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends it as nothing else does: it cannot say or finish anything."""
        self.process.kill()
        self.process.wait(PATIENCE_SECONDS)

    def pause(self) -> None:
        """It stands still, with whatever it holds."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on as if no time had passed."""
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """It is told to stop, politely."""
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> int:
        """Waits for its end; returns its exit code."""
        return self.process.wait(PATIENCE_SECONDS)

    def lives(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def megabytes(self) -> int:
        """How much memory it uses; 0 where the system does not tell."""
        status = Path("/proc", str(self.process.pid), "status")
        found = re.search(r"^VmRSS:\s+(\d+) kB", status.read_text(), re.MULTILINE) if status.exists() else None
        return int(found[1]) // 1024 if found else 0

    def in_use(self) -> int:
        """How many of its connections to the database somebody has, as its metrics tell."""
        with urlopen(f"http://{self._metrics}/metrics", timeout=PATIENCE_SECONDS) as answer:
            found = re.search(r"^ledger_connections_in_use (\S+)", answer.read().decode(), re.MULTILINE)
        assert found
        return int(float(found[1]))

    def close(self) -> None:
        """Ends it, whatever state it is in."""
        if self.lives():
            self.kill()

    def last_lines(self) -> str:
        """How its log ends."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LAST_LINES:])


class Postgres:
    """A PostgreSQL of the bench's own, as the program brings it, with fsync on; a keeper starts and stops it."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None, **variables: str) -> None:
        """Its files go into `folder`, which PostgreSQL's own user must be able to enter.

        `settings` are lines of its configuration, `variables` those of its environment.
        """
        self._folder = folder
        self._url = ""
        command = [sys.executable, "-m", "torture.keeper", str(folder)]
        command += [json.dumps(settings or {}), json.dumps(variables)]
        self._keeper = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment("") | {"PYTHONPATH": str(ROOT / "tests")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # what interrupts the bench does not interrupt the keeper, which then stops it
        )

    def start(self) -> None:
        """Makes it where it is not, starts it where it does not run; returns once it answers."""
        [self._url] = self._told("start")

    def database(self, name: str) -> Urls:
        """A new migrated database: its URL for the server's own login, and that for the owner of the tables."""
        return Urls(*self._told("database", name))

    def runs(self) -> bool:
        """Whether it answers."""
        try:
            with connected(self._url):
                return True
        except psycopg.OperationalError:
            return False

    @property
    def data(self) -> Path:
        """The folder of its data files."""
        return self._folder / "cluster" / "data"

    def kill(self) -> None:
        """Kills the postmaster; its children end as soon as they notice."""
        os.kill(int((self.data / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def close(self) -> None:
        """Ends it cleanly, and its keeper."""
        self._keeper.communicate(timeout=PATIENCE_SECONDS)

    def _told(self, *words: str) -> list[str]:
        assert self._keeper.stdin is not None
        assert self._keeper.stdout is not None
        print(*words, file=self._keeper.stdin, flush=True)
        answer = json.loads(self._keeper.stdout.readline() or '{"failed": ["the keeper has ended"]}')
        if "failed" in answer:
            raise AssertionError(answer["failed"][0])
        return list(answer["done"])


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection]:
    """A plain connection of the checker's own, which does not go through the program."""
    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True, connect_timeout=10) as connection:
        yield connection


def through(url: str, port: int) -> str:
    """The same database, reached over another port of this machine."""
    return make_url(url).set(port=port).render_as_string(hide_password=False)


def ledger(url: str, *arguments: str, root: Path = ROOT, **settings: str) -> subprocess.CompletedProcess[str]:
    """Runs the `ledger` command on a database, as it is in the tree of the program under `root`."""
    known = environment(url) | settings
    if root == ROOT:
        return commands().run(arguments, known)
    command = [sys.executable, "-m", "service", *arguments]
    return subprocess.run(command, cwd=root, env=known, check=False, capture_output=True, text=True, timeout=600)


def environment(url: str) -> dict[str, str]:
    """Our own environment, but for the ledger's settings: none of them but the database."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LEDGER_")}
    return kept | {"LEDGER_DATABASE_URL": url, "PYTHONUNBUFFERED": "1"}


def free_port(count: int = 1) -> int:
    """The first of so many ports in a row that nobody uses: they stay ours while servers restart.

    The system gives them to nobody by itself, and no other process of the tests takes them: until ours ends, a
    datagram socket of the same number, which no server uses, is the sign that a port is taken.
    """
    while True:
        first = random.choice(_PORTS[:-count])
        if all(map(_taken, range(first, first + count))):
            return first


def _taken(port: int) -> bool:
    """Whether it was free, and is ours from now on."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    sign = socket.socket(type=socket.SOCK_DGRAM)
    try:
        sign.bind(("127.0.0.1", port))
    except OSError:
        sign.close()
        return False
    _signs.append(sign)
    return True


def _accepts(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
