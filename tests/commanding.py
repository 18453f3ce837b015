"""Runs `ledger` commands, each in a process of its own that has not got to import the program first.

One process imports it, does nothing else, and forks for each command: that is the command's own process, with its
arguments, variables, output and exit code, as if it had been started anew, which costs a second of computing.

What was imported is kept from the collector: a command that looks through it at its end copies all the memory that
it shares, which was four fifths of what it computed.
"""

import functools
import gc
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from serving import PATIENCE_SECONDS

_HERE = Path(__file__).parent
_MOST_BYTES = 1024 * 1024


class Commands:
    """The process that forks, as those see it who want to run something."""

    def __init__(self) -> None:
        """Started; it ends with us."""
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.settimeout(PATIENCE_SECONDS)
        self._turn = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "commanding", str(theirs.fileno())],
                cwd=_HERE.parent,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (_HERE.parent, _HERE)))},
                pass_fds=[theirs.fileno()],
            )

    def run(self, arguments: Sequence[object], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """What a command said and how it ended; one runs at a time."""
        asked = json.dumps([[*map(str, arguments)], dict(environment), str(Path.cwd())]).encode()
        with self._turn, open(os.devnull) as nothing, TemporaryFile("w+") as said, TemporaryFile("w+") as wrong:
            socket.send_fds(self._ours, [asked], [file.fileno() for file in (nothing, said, wrong)])
            code = int(self._ours.recv(_MOST_BYTES))
            return subprocess.CompletedProcess(arguments, code, _read(said), _read(wrong))


def _read(file: IO[str]) -> str:
    file.seek(0)
    return file.read()


@functools.cache
def commands() -> Commands:
    """The one of this process."""
    return Commands()


def next_asked(ours: socket.socket) -> tuple[list[str], dict[str, str], str]:
    """Returns in the process of each command with what it has to do, its files in place; nowhere else."""
    while True:
        asked, files, *_ = socket.recv_fds(ours, _MOST_BYTES, 3)
        if not asked:
            sys.exit()
        if (pid := os.fork()) == 0:
            for number, file in enumerate(files):
                os.dup2(file, number)
            os.closerange(3, max(*files, ours.fileno()) + 1)
            arguments, environment, folder = json.loads(asked)
            return arguments, environment, folder
        for file in files:
            os.close(file)
        _, status = os.waitpid(pid, 0)
        ours.send(str(os.waitstatus_to_exitcode(status)).encode())


def _run() -> None:
    import typer.rich_utils  # noqa: F401 - what only some commands get to

    from service.__main__ import main  # here, and so before the first command comes

    gc.collect()
    gc.freeze()
    arguments, environment, folder = next_asked(socket.socket(fileno=int(sys.argv[1])))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["ledger", *arguments]
    main()


if __name__ == "__main__":
    _run()
