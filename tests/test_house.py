"""The house rules. Each is a test, so that nobody has to remember it."""

import ast
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent
DOMAIN = ("ledger", "reconciliation")
PROGRAM = (*DOMAIN, "service")
SOURCES = (*PROGRAM, "migrations", "benchmarks", "proto", "supply")
STUBS = ("ledger/v1", "reconciliation/v1")

PURE = (
    "ledger/errors.py",
    "ledger/ids.py",
    "ledger/money.py",
    "ledger/psql.py",
    "ledger/accounts/account.py",
    "ledger/accounts/chart.py",
    "ledger/allowances/allowance.py",
    "ledger/approvals/limit.py",
    "ledger/approvals/proposal.py",
    "ledger/periods/period.py",
    "ledger/audit/checkpoint.py",
    "ledger/audit/evidence.py",
    "ledger/audit/examining.py",
    "ledger/audit/fault.py",
    "ledger/audit/merkle.py",
    "ledger/audit/tying.py",
    "ledger/postings/batch.py",
    "ledger/postings/chain.py",
    "ledger/postings/commands.py",
    "ledger/postings/entry.py",
    "ledger/postings/item.py",
    "ledger/postings/rules.py",
    "ledger/reports/plaintext.py",
    "ledger/pay_cycles/calendar.py",
    "ledger/pay_cycles/cycle.py",
    "ledger/pay_cycles/nacha.py",
    "ledger/pay_cycles/payee.py",
    "ledger/pay_cycles/payment.py",
    "ledger/pay_cycles/payment_csv.py",
    "ledger/pay_cycles/refusals.py",
    "ledger/sealing.py",
    "ledger/write_offs/cap.py",
    "reconciliation/amounts.py",
    "reconciliation/balancing.py",
    "reconciliation/bank/addenda.py",
    "reconciliation/bank/association.py",
    "reconciliation/bank/bai2.py",
    "reconciliation/bank/bai2_record.py",
    "reconciliation/bank/camt053.py",
    "reconciliation/bank/deposit.py",
    "reconciliation/bank/rules.py",
    "reconciliation/bank/statement.py",
    "reconciliation/candidates/combining.py",
    "reconciliation/candidates/scoring.py",
    "reconciliation/claim.py",
    "reconciliation/code_tables.py",
    "reconciliation/codes.py",
    "reconciliation/content.py",
    "reconciliation/coverage.py",
    "reconciliation/denials.py",
    "reconciliation/elements.py",
    "reconciliation/envelope.py",
    "reconciliation/events.py",
    "reconciliation/forwarding.py",
    "reconciliation/header.py",
    "reconciliation/matching.py",
    "reconciliation/patients.py",
    "reconciliation/payment.py",
    "reconciliation/provider_level.py",
    "reconciliation/quarantine.py",
    "reconciliation/reasons.py",
    "reconciliation/remittance.py",
    "reconciliation/reversal.py",
    "reconciliation/settlement.py",
    "reconciliation/worklist/item.py",
    "reconciliation/x12.py",
)
"""Modules that decide and do nothing else. They import nothing impure, and of our own modules only each other."""

IMPURE = {
    *("sqlalchemy", "psycopg", "grpc", "google"),
    *("os", "time", "random", "secrets", "logging", "asyncio", "structlog"),
}
CLOCKS = {
    *("datetime.now", "datetime.utcnow", "datetime.today", "date.today", "datetime.datetime.now"),
    *("datetime.datetime.utcnow", "datetime.date.today", "time.time", "time.time_ns", "time.monotonic"),
    *("time.monotonic_ns", "time.perf_counter", "uuid.uuid1", "uuid.uuid4", "uuid4", "os.environ", "os.getenv"),
}
CLOCK_MODULES = {"random", "secrets"}
BANNED_MODULES = {"utils", "helpers", "base", "manager", "common"}
BANNED_CLASSES = re.compile(r"(Manager|Processor|Repository)$|(Transaction|Transfer)(?![a-z])")

LONG = {
    "ledger/errors.py": "the tree of refusals, on one page",
    "ledger/schema.py": "the tables of the books, as the migrations make them",
}
"""Files that are as long as what they list: why."""

FLOATS: dict[tuple[str, str], str] = {}
"""(file, the line as it stands there): why a float is right there. Never for money."""


def run(*command: str) -> None:
    """Run a tool at the root; its words are the failure."""
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)


def none_of(offences: Iterable[str]) -> None:
    """Fail with every offence, one a line."""
    if listed := sorted(offences):
        pytest.fail("\n".join(listed), pytrace=False)


def is_generated(path: Path) -> bool:
    """Whether protoc wrote it."""
    return path.relative_to(ROOT).parent.as_posix() in STUBS


@cache
def modules(*folders: str) -> dict[str, ast.Module]:
    """Every module of these folders that a person wrote, by its path from the root."""
    paths = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return {path.relative_to(ROOT).as_posix(): parsed(path) for path in paths if not is_generated(path)}


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def found(*folders: str) -> Iterator[tuple[str, ast.AST]]:
    """Every node of these folders, with the file it stands in."""
    for file, tree in modules(*folders).items():
        for node in ast.walk(tree):
            yield file, node


def place(file: str, node: ast.AST, what: str) -> str:
    return f"{file}:{getattr(node, 'lineno', 1)} {what}"


def imported(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Every name a module imports, in full; ``from a import b`` is both ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node, node.module or ""
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


def dotted(node: ast.AST) -> str:
    """``a.b.c`` for the expression a.b.c, and nothing for any other."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def test_ruff_finds_nothing() -> None:
    run(sys.executable, "-m", "ruff", "check", "--quiet")


def test_ruff_would_format_nothing() -> None:
    run(sys.executable, "-m", "ruff", "format", "--check", "--quiet")


def test_types_are_strict() -> None:
    run(sys.executable, "-m", "mypy")


def test_layers_have_one_arrow() -> None:
    run(str(TOOLS / "lint-imports"))


def test_protos_pass_buf() -> None:
    run(str(TOOLS / "buf"), "lint")
    run(str(TOOLS / "buf"), "build", "--output", "/dev/null")


@pytest.mark.parametrize("stubs", STUBS)
def test_stubs_are_those_of_the_protos(stubs: str, tmp_path: Path) -> None:
    run(sys.executable, "proto/generate.py", str(tmp_path))
    fresh = {path.name: path.read_bytes() for path in (tmp_path / stubs).iterdir()}
    kept = {path.name: path.read_bytes() for path in (ROOT / stubs).glob("*_pb2*")}
    differing = sorted(name for name in fresh.keys() | kept if fresh.get(name) != kept.get(name))
    none_of(f"{stubs}/{name} differs: run make proto" for name in differing)


@pytest.mark.parametrize("file", PURE)
def test_a_pure_module_decides_and_does_nothing_else(file: str) -> None:
    assert (ROOT / file).exists(), f"{file} is in the table of pure modules and nowhere else"
    offences = []
    for node, name in imported(modules(*PROGRAM)[file]):
        ours = f"{name.replace('.', '/')}.py"
        if name.partition(".")[0] in IMPURE or ((ROOT / ours).exists() and ours not in PURE):
            offences.append(place(file, node, f"imports {name}"))
    none_of(offences)


def test_the_domain_asks_no_clock_and_draws_no_lot() -> None:
    offences = [
        place(file, node, f"uses {dotted(node)}") for file, node in found(*DOMAIN) if dotted(node) in CLOCKS
    ]
    for file, tree in modules(*DOMAIN).items():
        names = ((node, name) for node, name in imported(tree) if name.partition(".")[0] in CLOCK_MODULES)
        offences += [place(file, node, f"imports {name}") for node, name in names]
    none_of(offences)


def test_functions_are_short(capsys: pytest.CaptureFixture[str]) -> None:
    lengths = {
        place(file, node, node.name): (node.end_lineno or 0) - node.lineno + 1
        for file, node in found(*SOURCES)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    median = statistics.median(lengths.values())
    short = sum(length < 25 for length in lengths.values()) / len(lengths)
    with capsys.disabled():
        print(f"\n{len(lengths)} functions, median {median:g} lines, {short:.0%} under 25")
    none_of(f"{name} has {length} lines" for name, length in lengths.items() if length > 50)
    assert short >= 0.9
    assert median <= 8


def test_files_are_short() -> None:
    lengths = {file: len((ROOT / file).read_text().splitlines()) for file in modules(*SOURCES)}
    none_of(f"{file} has {length} lines" for file, length in lengths.items() if length >= 400 and file not in LONG)


def test_names_say_what_a_thing_is() -> None:
    offences = [file for file in modules(*SOURCES) if BANNED_MODULES & {*Path(file).with_suffix("").parts}]
    offences += [
        place(file, node, node.name)
        for file, node in found(*SOURCES)
        if isinstance(node, ast.ClassDef) and BANNED_CLASSES.search(node.name)
    ]
    none_of(offences)


def test_no_error_is_swallowed() -> None:
    offences = [
        place(file, node, "catches everything" if node.type is None else "passes over an error")
        for file, node in found(*SOURCES, "tests")
        if isinstance(node, ast.ExceptHandler)
        if node.type is None or all(isinstance(line, ast.Pass) for line in node.body)
    ]
    none_of(offences)


def test_no_float_comes_near_the_money() -> None:
    seen: set[tuple[str, str]] = set()
    for file, node in found(*DOMAIN):
        if (isinstance(node, ast.Constant) and isinstance(node.value, float)) or dotted(node) == "float":
            line = (ROOT / file).read_text().splitlines()[getattr(node, "lineno", 1) - 1].strip()
            seen.add((file, line))
    none_of(f"{file}: {line}" for file, line in seen - FLOATS.keys())
    none_of(f"{file}: {line}: allowed, and no longer there" for file, line in FLOATS.keys() - seen)


def test_the_constraints_name_no_host() -> None:
    constraints = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"://|^\s*--(?!hash=)|@ ", constraints, re.MULTILINE)
    assert all("==" in line for line in constraints.splitlines() if line and not line.startswith((" ", "#")))


def undocumented(file: str, node: ast.AST, prefix: str = "") -> Iterator[str]:
    """The public names below a module or a class that do not say what they are for."""
    for child in getattr(node, "body", []):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if child.name.startswith("_") or "overload" in map(dotted, child.decorator_list):
                continue
            if ast.get_docstring(child) is None:
                yield place(file, child, prefix + child.name)
            if isinstance(child, ast.ClassDef):
                yield from undocumented(file, child, f"{child.name}.")


def test_everything_public_says_what_it_is_for() -> None:
    offences = []
    for file, tree in modules(*PROGRAM).items():
        if tree.body and ast.get_docstring(tree) is None:
            offences.append(f"{file}:1 the module")
        offences += undocumented(file, tree)
    none_of(offences)
