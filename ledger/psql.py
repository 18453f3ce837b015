"""Reads SQL that is written for psql, so that one file serves an auditor at a terminal and the program."""

import re

# What is not plain SQL: lines of psql's own, comments, psql's variables, texts and names in quotes.
_SPECIAL = re.compile(
    r"""
    ^\\[^\n]*\n?
    | --[^\n]*
    | :'(?P<variable>[a-z_]+)'
    | (?P<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<unread>/\*|\$\w*\$|(?<!\w)[eE]'|['"]|(?<![:\w]):[\w"])
    """,
    re.VERBOSE | re.MULTILINE,
)
# What SQLAlchemy takes for a parameter, wherever it stands; with a backslash before it, it is none.
_LIKE_A_PARAMETER = re.compile(r"(?<![:\w\\]):\w+(?![:\w])")


def with_parameters(sql: str) -> str:
    """The SQL as SQLAlchemy's `text` takes it: `:'book'`, which psql quotes, is the parameter `:book`.

    Lines that begin with a backslash are psql's own and are left out, and so are comments. What stands in quotes
    stays as it is. Raises ValueError for what this does not read: block comments, dollar quotes, texts with
    escapes, variables that are not quoted, a quotation mark without its other.
    """
    return _SPECIAL.sub(lambda found: _read(found, sql), sql)


def _read(found: re.Match[str], sql: str) -> str:
    quoted, line = found["quoted"] or "", sql.count("\n", 0, found.start()) + 1
    if found["unread"] or "\\:" in quoted:
        raise ValueError(f"line {line}: {found[0]} is SQL that this does not read")
    if found["variable"]:
        return f":{found['variable']}"
    return _LIKE_A_PARAMETER.sub(r"\\\g<0>", quoted)
