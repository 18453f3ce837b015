"""Every right that was granted, withheld until a day of work is refused for want of it. None is too many.

What was not granted is in `test_roles.py`.
"""

import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, TypeVar

import grpc
import psycopg
import pytest
from conftest import connected
from day import worked
from psycopg.errors import InsufficientPrivilege
from serving import Ledger, Loop, client
from sqlalchemy.exc import ProgrammingError

from ledger.database import engine, out_of_step, reading

T = TypeVar("T")
GRANTED = """
    SELECT privilege_type || ' ON ' || c.oid::regclass
    FROM pg_class AS c, aclexplode(c.relacl) AS given
    WHERE given.grantee = %(role)s::regrole
    UNION
    SELECT privilege_type || format(' (%%I) ON ', a.attname) || c.oid::regclass
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid, aclexplode(a.attacl) AS given
    WHERE given.grantee = %(role)s::regrole
    UNION
    SELECT privilege_type || ' ON SCHEMA ' || n.nspname
    FROM pg_namespace AS n, aclexplode(n.nspacl) AS given
    WHERE given.grantee = %(role)s::regrole
    UNION
    SELECT privilege_type || ' ON FUNCTION ' || p.oid::regprocedure
    FROM pg_proc AS p, aclexplode(p.proacl) AS given
    WHERE given.grantee = %(role)s::regrole
    ORDER BY 1
"""
RIGHT = re.compile(r"\w+(?: \(\w+\))? ON (?:FUNCTION )?(\w+)(?:\(.*\))?")
DENIED = re.compile(r"permission denied for (?:table|schema|function) (\w+)")
_names = count(1)


@pytest.fixture(scope="module")
def owner(server: Ledger) -> Iterator[psycopg.Connection[Any]]:
    with connected(server.url) as connection:
        yield connection


def granted(owner: psycopg.Connection[Any], role: str) -> list[str]:
    """Each right that a role was given here, as GRANT writes it."""
    return [right for (right,) in owner.execute(GRANTED, {"role": role})]


class Denied(Exception):
    """PostgreSQL forbids it; the message is the name of the relation or function that it is about."""


class Shown(Exception):
    """Some right that was withheld is needed; it is not withheld any more."""


class Withheld(
    grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor, grpc.StreamUnaryClientInterceptor
):
    """Rights that the program does without in each of its calls, until one is refused for want of just it.

    A refusal names a table, and so the rights one of which is wanting. All of these but one are given then, each
    in turn: what is refused by the same name again needs the one.
    """

    def __init__(
        self, owner: psycopg.Connection[Any], log: pytest.CaptureFixture[str], rights: Iterable[str]
    ) -> None:
        self._owner, self._log = owner, log
        self.rights = [*rights]
        self._given: set[str] = set()
        self._change("REVOKE {} FROM", self.rights)

    def done(self, act: Callable[[], T]) -> T:
        """What an act gives, as soon as it has all that it needs of what is withheld."""
        while True:
            with suppress(Shown):
                return self._narrowed(act)

    def _narrowed(self, act: Callable[[], T]) -> T:
        try:
            return self._tried(act)
        except Denied as denied:
            suspects = self._on(str(denied))
        if len(suspects) == 1:
            self._needed(*suspects)
            raise Shown
        for right in suspects:
            with suppress(Shown), self._giving({*suspects} - {right}):
                answer = self._narrowed(act)
                self.rights.sort(key=right.__eq__)  # next time others are looked at before it
                return answer
        raise Shown

    def _on(self, name: str) -> list[str]:
        """What is withheld on a relation or function."""
        found = [right for right in self.rights if right not in self._given and name_in(right) == name]
        assert found, f"{name} is denied, and nothing on it is withheld"
        return found

    def _needed(self, right: str) -> None:
        self._change("GRANT {} TO", [right])
        self.rights.remove(right)

    @contextmanager
    def _giving(self, rights: set[str]) -> Iterator[None]:
        self._change("GRANT {} TO", rights)
        self._given |= rights
        try:
            yield
        finally:
            self._given -= rights
            self._change("REVOKE {} FROM", rights.intersection(self.rights))

    def _change(self, how: str, rights: Iterable[str]) -> None:
        self._owner.execute("; ".join(f"{how.format(right)} ledger_program" for right in rights))

    def _tried(self, act: Callable[[], T]) -> T:
        self._log.readouterr()
        try:
            return act()
        except ProgrammingError as failed:
            if not isinstance(failed.orig, InsufficientPrivilege):
                raise
            told = str(failed.orig)
        except grpc.RpcError as failed:
            if failed.code() is not grpc.StatusCode.INTERNAL:
                raise
            told = self._log.readouterr().out
        [name] = {*DENIED.findall(told)}
        raise Denied(name)

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return self.done(lambda: succeeded(continuation(details, request)))

    def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return iter(self.done(lambda: [*continuation(details, request)]))

    def intercept_stream_unary(self, continuation: Any, details: Any, requests: Iterable[Any]) -> Any:
        kept = [*requests]
        return self.done(lambda: succeeded(continuation(details, iter(kept))))


def succeeded(call: Any) -> Any:
    """The call, which is over; raises what it failed with."""
    call.result()
    return call


def name_in(right: str) -> str:
    """What a right is on."""
    found = RIGHT.fullmatch(right)
    assert found, right
    return found[1]


def works(server: Ledger, loop: Loop) -> bool:
    """Whether the program can look at the version and work a day in a new book, or PostgreSQL forbids it."""
    try:
        if not loop.run(version_fits(server.url)):
            return False
        worked(server, f"D{next(_names)}")
    except ProgrammingError as refused:
        if not isinstance(refused.orig, InsufficientPrivilege):
            raise
        return False
    except grpc.RpcError as failed:
        if failed.code() is not grpc.StatusCode.INTERNAL:
            raise
        return False
    return True


async def version_fits(url: str) -> bool:
    """As a server looks at it, in the program's role."""
    database = engine(url)
    try:
        async with reading(database) as connection:
            return not await connection.run_sync(out_of_step)
    finally:
        await database.dispose()


def test_the_program_needs_each_of_its_rights(
    loop: Loop, server: Ledger, owner: psycopg.Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Days are worked until one needs no more of what is still withheld: nothing of that is needed."""
    owner.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")  # some do, and it must work there too
    assert works(server, loop)
    rights = granted(owner, "ledger_program")
    assert len(rights) > 50
    usage = "USAGE ON SCHEMA public"
    owner.execute(f"REVOKE {usage} FROM ledger_program")
    assert not works(server, loop)
    owner.execute(f"GRANT {usage} TO ledger_program")
    withheld = Withheld(owner, capsys, {*rights} - {usage})
    needing = client(loop, server.url, grpc.intercept_channel(server.channel, withheld))
    idle_days = 0
    while withheld.rights and idle_days <= len(withheld.rights):
        before = len(withheld.rights)
        assert withheld.done(lambda: loop.run(version_fits(server.url)))
        worked(needing, f"D{next(_names)}", withheld.done)
        idle_days = 0 if len(withheld.rights) < before else idle_days + 1
    assert withheld.rights == []
    assert granted(owner, "ledger_program") == rights
    assert works(server, loop)
    assert server.wrong() == []


def test_a_reader_needs_each_of_its_rights(server: Ledger, owner: psycopg.Connection[Any]) -> None:
    """It sees every view, and without a right one less."""
    name, password = f"auditor_{secrets.token_hex(4)}", secrets.token_hex(8)
    owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE ledger_reader")
    views = [
        view for (view,) in owner.execute("SELECT viewname FROM pg_views WHERE schemaname = 'ledger_reading'")
    ]
    with psycopg.connect(
        server.url.replace("+psycopg", ""), user=name, password=password, autocommit=True
    ) as reader:

        def unseen() -> set[str]:
            found = set()
            for view in views:
                try:
                    reader.execute(f"SELECT * FROM ledger_reading.{view}")
                except InsufficientPrivilege:
                    found.add(f"SELECT ON ledger_reading.{view}")
            return found

        rights = granted(owner, "ledger_reader")
        assert unseen() == set()
        for right in rights:
            owner.execute(f"REVOKE {right} FROM ledger_reader")
            assert unseen() == ({right} if right.startswith("SELECT") else {*rights} - {right})
            owner.execute(f"GRANT {right} TO ledger_reader")
    owner.execute(f"DROP ROLE {name}")
