"""Fault 9: all data files are lost, and come back from a base backup and archived WAL."""

import asyncio
import shutil
from pathlib import Path

from serving import eventually

from service.postgres import Urls
from torture.books import held, key_of
from torture.clients import Load, open_book
from torture.fault import Outcome, Place, outcome_of
from torture.processes import Postgres, Served, connected
from torture.recovery import base_backup, give, recover

_SWITCH = "SELECT pg_walfile_name(pg_switch_wal())"
_ARCHIVED = "SELECT coalesce(last_archived_wal >= %s, false) FROM pg_stat_archiver"


class DataLost:
    """PostgreSQL dies and its data folder is gone; what was archived is everything up to a known moment."""

    name = "data folder lost, recovered from base backup and archived WAL"

    def __init__(self, place: Place) -> None:
        """Nothing is started yet."""
        self._place = place
        self._archive = place.folder / "archive"
        self._postgres = Postgres(place.folder / "archived", archiving(self._archive))
        self._urls = Urls("", "")
        self._server: Served | None = None
        self._load: Load | None = None
        self._after = 0
        self._kept = 0
        self._wrong: list[str] = []

    @property
    def load(self) -> Load:
        """The clients."""
        assert self._load is not None
        return self._load

    async def prepare(self) -> None:
        """A PostgreSQL that archives, and a server with a book, under load."""
        await asyncio.to_thread(self._start_archiving)
        self._server = Served(self._urls.server, self._place.folder)
        await asyncio.to_thread(self._server.start)
        await open_book(self._server.address)
        self._load = Load([self._server.address], self._place.lots)
        self._load.start()

    def _start_archiving(self) -> None:
        self._archive.mkdir(mode=0o700)
        self._postgres.start()
        give(self._archive, self._postgres.data.stat())
        self._urls = self._postgres.database("torture")

    async def disturb(self) -> None:
        """A backup while clients post, an archived moment, a few entries more; then all is lost but these two."""
        base = self._place.folder / "base"
        await self.load.answered(20)
        await asyncio.to_thread(base_backup, self._urls.owner, base)
        await self.load.answered(100)
        sure = {*self.load.told.entries}
        await asyncio.to_thread(self._archived_up_to_now)
        await self.load.answered(self._place.lots.randint(1, 30))
        self._postgres.kill()
        await asyncio.to_thread(recover, self._postgres, base, self._archive)
        await asyncio.to_thread(shutil.rmtree, base)
        await self._see_what_came_back(sure)
        await self.load.answered(50)

    def _archived_up_to_now(self) -> None:
        """Returns once the archive holds all that was committed so far."""
        with connected(self._urls.owner) as owner:
            row = owner.execute(_SWITCH).fetchone()
            assert row is not None

            def is_archived() -> bool:
                found = owner.execute(_ARCHIVED, [row[0]]).fetchone()
                return bool(found and found[0])

            eventually(is_archived, f"{row[0]} is archived")

    async def _see_what_came_back(self, sure: set[str]) -> None:
        """All that was acknowledged before that moment. What came after is lost from its first entry on."""
        told, acknowledged = self.load.told, {**self.load.told.entries}
        there = {key_of(one) for one in await asyncio.to_thread(held, self._urls.owner)}
        gone = {key: one for key, one in acknowledged.items() if key not in there}
        self._kept += len(sure)
        self._after += len(gone)
        self._wrong += [f"{key} was archived, and is lost" for key in sorted(sure & gone.keys())[:5]]
        first_gone = min((one[0] for one in gone.values()), default=None)
        last_sure = max(acknowledged[key][0] for key in sure)
        if first_gone is not None and first_gone <= last_sure:
            self._wrong.append(f"number {first_gone} is lost, and number {last_sure} was archived")
        for key in gone.keys() - sure:  # nobody was promised these: they are as if they had never been asked
            del told.entries[key], told.asked[key]

    async def check(self, tried: int) -> Outcome:
        """The books are sound, their numbers have no gap, and posting went on."""
        told = await self.load.finish()
        figure = (
            f"{self._kept:,} times an entry was acknowledged before the known moment, and came back; "
            f"{self._after:,} entries acknowledged after it were lost with the data, as must be"
        )
        return await asyncio.to_thread(outcome_of, self._urls.owner, told, tried, figure, wrong=self._wrong)

    async def close(self) -> None:
        """Ends the server and PostgreSQL."""
        if self._server is not None:
            self._server.close()
        await asyncio.to_thread(self._postgres.close)


def archiving(archive: Path) -> dict[str, str]:
    """Settings that archive every full file of WAL, whole or not at all, and never over another."""
    to, part = f'"{archive}/%f"', f'"{archive}/%f.part"'
    copy = f'test ! -e {to} && cp "%p" {part} && sync {part} && mv {part} {to}'
    return {"archive_mode": "on", "archive_command": f'{{ {copy}; }} || cmp -s "%p" {to}'}
