"""Every right that was granted, taken away in turn: without it a day of work comes to a stop. None is too many.

What was not granted is in `test_roles.py`.
"""

import secrets
from collections.abc import Iterator
from itertools import count
from typing import Any

import grpc
import psycopg
import pytest
from conftest import connected
from day import worked
from psycopg.errors import InsufficientPrivilege
from serving import Ledger, Loop
from sqlalchemy.exc import ProgrammingError

from ledger.database import engine, out_of_step, reading

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
_names = count(1)


@pytest.fixture(scope="module")
def owner(server: Ledger) -> Iterator[psycopg.Connection[Any]]:
    with connected(server.url) as connection:
        yield connection


def granted(owner: psycopg.Connection[Any], role: str) -> list[str]:
    """Each right that a role was given here, as GRANT writes it."""
    return [right for (right,) in owner.execute(GRANTED, {"role": role})]


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


def test_the_program_needs_each_of_its_rights(loop: Loop, server: Ledger, owner: psycopg.Connection[Any]) -> None:
    owner.execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")  # some do, and it must work there too
    assert works(server, loop)
    rights = granted(owner, "ledger_program")
    assert len(rights) > 50
    not_needed = set()
    for right in rights:
        owner.execute(f"REVOKE {right} FROM ledger_program")
        if works(server, loop):
            not_needed.add(right)
        owner.execute(f"GRANT {right} TO ledger_program")
    assert not_needed == set()
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
