"""What the README shows is so: its story is told to the server, and its commands and settings exist."""

import re
import shlex
from pathlib import Path

import pytest
from serving import Ledger, open_book
from test_books import Story, lines_of, sound
from typer.testing import CliRunner

from service.__main__ import app
from service.settings import Settings

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str, text: str = README) -> list[str]:
    """What stands between the fences of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def tell(ledger: Ledger, book: str, readme: str) -> None:
    """Tells all its blocks as one story, which must be true and complete in the end."""
    parts = blocks("book", readme)
    assert parts, "the README tells no story"
    open_book(ledger, book)
    story = Story(ledger.of(book))
    for line in (line for part in parts for line in lines_of(part)):
        story.tell(line)
    story.complete()
    sound(story.ledger)


def test_the_story_is_true(server: Ledger) -> None:
    tell(server, "readme", README)


@pytest.mark.parametrize(("said", "changed"), [("100.00 Dr", "100.01 Dr"), ("```book", "```text")])
def test_a_story_that_is_not_true_fails(server: Ledger, said: str, changed: str) -> None:
    assert said in README
    with pytest.raises(AssertionError):
        tell(server, "untrue" if "Dr" in said else "untold", README.replace(said, changed))


def commands() -> list[list[str]]:
    """Every `ledger …` that the README shows, as words."""
    lines = (line.strip() for block in blocks("sh") for line in block.splitlines())
    found = (shlex.split(line, comments=True) for line in lines if re.match(r"(\.venv/bin/)?ledger ", line))
    return [words[1:] for words in found]


GROUPS = {group.name for group in app.registered_groups}


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_that_is_shown_exists(words: list[str]) -> None:
    """And its help tells of every option that is used."""
    name = words[:2] if words[0] in GROUPS else words[:1]
    helped = CliRunner().invoke(app, [*name, "--help"], env={"COLUMNS": "200"})
    assert helped.exit_code == 0, helped.output
    for option in (word for word in words if word.startswith("--")):
        assert option in helped.output


def test_there_are_commands() -> None:
    assert len(commands()) >= 8


def test_every_setting_that_is_named_exists() -> None:
    """And every setting is named; those of OpenTelemetry by the one that switches traces on."""
    named = set(re.findall(r"LEDGER_[A-Z_]+[A-Z]", README))
    ours = {name: field for name, field in Settings.model_fields.items() if field.validation_alias is None}
    assert named == {f"LEDGER_{name.upper()}" for name in ours}
    others = str([field.validation_alias for field in Settings.model_fields.values()])
    assert all(f"'{name}'" in others for name in re.findall(r"OTEL_[A-Z_]+[A-Z]", README))
