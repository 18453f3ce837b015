"""Keeps a PostgreSQL for the bench, in a process of its own, and stops it when the bench is gone.

PostgreSQL is started while clients call. A process that has gRPC calls in flight cannot do that: to run a program
as another user Python forks, and the child of such a process may die before it has become that program.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg

from ledger.database import migrate
from service.postgres import DATABASE, OWNER, SERVER, Cluster, PostgresUnavailable


class Keeper:
    """Does what it is told, one word at a time."""

    def __init__(self, cluster: Cluster) -> None:
        """Nothing is started yet."""
        self._cluster = cluster

    def start(self) -> list[str]:
        """Makes it where it is not, starts it where it does not run; returns the URL for its owner."""
        with self._cluster.guarded():
            self._cluster.start()
        return [self._cluster.url(DATABASE, OWNER)]

    def stop(self) -> list[str]:
        """Ends it cleanly."""
        with self._cluster.guarded():
            self._cluster.stop()
        return []

    def database(self, name: str) -> list[str]:
        """A new migrated database; returns its URLs for the server's own login and for the owner."""
        url = self._cluster.url(DATABASE, OWNER).replace("+psycopg", "", 1)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"'.encode())
        migrate(self._cluster.url(name, OWNER))
        return [self._cluster.url(name, login) for login in (SERVER, OWNER)]


def main() -> None:
    """Reads one word a line, with what it is about behind it; answers each by a line of JSON."""
    cluster = Cluster(Path(sys.argv[1]), json.loads(sys.argv[2]))
    cluster.environment.update(json.loads(sys.argv[3]))
    keeper = Keeper(cluster)
    words: dict[str, Callable[..., list[str]]]
    words = {"start": keeper.start, "stop": keeper.stop, "database": keeper.database}
    try:
        for line in sys.stdin:
            word, *about = line.split()
            try:
                answer = {"done": words[word](*about)}
            except PostgresUnavailable as failed:
                answer = {"failed": [str(failed)]}
            print(json.dumps(answer), flush=True)
    finally:
        keeper.stop()


if __name__ == "__main__":
    main()
