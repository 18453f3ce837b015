"""`ledger serve --workers`: several processes on one port, correct together, and none left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import grpc
import pytest
import serving
from commanding import commands
from serving import eventually
from torture.books import compared
from torture.clients import Load, open_book
from torture.processes import PATIENCE_SECONDS, ROOT, environment, free_port

from ledger.v1 import accounts_pb2 as accounts
from ledger.v1.accounts_pb2_grpc import AccountsServiceStub

COUNT = 2


@contextmanager
def together(url: str, log: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The first process, once all serve, and their address."""
    command = [sys.executable, "-m", "service", "serve", "--insecure", "--listen", "127.0.0.1:0"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*command, "--workers", str(COUNT)],
            cwd=ROOT,
            env=environment(url) | settings,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    try:
        told = process.stdout.readline()
        assert f"with {COUNT} workers" in told, log.read_text()
        yield process, told.split()[2]
    finally:
        process.kill()
        process.wait(PATIENCE_SECONDS)
        process.stdout.close()


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """The process ids of its workers."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(child) for child in children]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def calls_at(port: int) -> float:
    """How many calls a worker has answered, by its own metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("ledger_calls_total"))


def each_serves(address: str, ports: range) -> bool:
    """Whether each worker has answered somebody. One more calls, over a connection of its own to either."""
    with grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        AccountsServiceStub(channel).ListBooks(accounts.ListBooksRequest(), timeout=PATIENCE_SECONDS)
    return min(map(calls_at, ports)) > 0


def is_replaced(process: subprocess.Popen[str], killed: int) -> bool:
    running = workers_of(process)
    return len(running) == COUNT and killed not in running


def test_both_post_to_one_book_and_one_that_dies_is_replaced(
    loop: serving.Loop, database: str, tmp_path: Path
) -> None:
    """Clients of either worker meet nothing but UNAVAILABLE, and the books hold what they were told."""
    first_port = free_port(COUNT)
    ports = range(first_port, first_port + COUNT)

    async def loaded(process: subprocess.Popen[str], address: str) -> list[str]:
        await open_book(address)
        load = Load([address] * 16, Random(1), clients=16)  # each has a connection of its own, to either worker
        load.start()
        await load.answered(200)
        await asyncio.to_thread(eventually, lambda: each_serves(address, ports), "each of them serves somebody")
        killed, _ = workers_of(process)
        os.kill(killed, signal.SIGKILL)
        await load.answered(300)
        await asyncio.to_thread(eventually, lambda: is_replaced(process, killed), "it is replaced")
        await load.answered(200)
        verdict = compared(database, await load.finish())
        assert (verdict.lost, verdict.twice, verdict.wrong) == (0, 0, [])
        return [*map(str, workers_of(process))]

    with together(database, tmp_path / "log", LEDGER_METRICS_LISTEN=f"127.0.0.1:{first_port}") as (
        process,
        address,
    ):
        running = loop.run(loaded(process, address))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert all(gone(int(pid)) for pid in running)


def test_no_worker_outlives_the_first_process(database: str, tmp_path: Path) -> None:
    with together(database, tmp_path / "log") as (process, _):
        running = workers_of(process)
        assert len(running) == COUNT
        process.kill()
        process.wait(PATIENCE_SECONDS)
        eventually(lambda: all(map(gone, running)), "no worker is left behind")


def test_a_worker_that_is_stopped_while_it_starts_is_no_failure(database: str, tmp_path: Path) -> None:
    with together(database, tmp_path / "log") as (process, _):
        killed, _ = workers_of(process)
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: is_replaced(process, killed), "it is replaced")
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0


@pytest.mark.parametrize("wrong", [["--workers", "0"], ["--workers", "two"], ["--workers", "65"]])
def test_how_many_is_a_number(wrong: list[str]) -> None:
    done = commands().run(["serve", *wrong], environment(""))
    assert done.returncode == 2
    assert "workers" in done.stderr
