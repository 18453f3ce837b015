"""Which writer a report goes to: by its form, to the screen or to a file that is whole or absent."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from service.exporting import ExportRefused, whole_path
from service.printing import Csv, Format, Json, Tables, Writer
from service.spreadsheet import Xlsx


@contextmanager
def written(form: Format, output: Path | None) -> Iterator[Writer]:
    """The writer of a report. Raises ExportRefused for a form that no screen can show."""
    if output is None:
        if form is Format.XLSX:
            raise ExportRefused("xlsx is no text: name a file with --output")
        yield _as_text(form, sys.stdout)
        return
    with whole_path(output) as unfinished:
        if form is Format.XLSX:
            with Xlsx(unfinished) as writer:
                yield writer
        else:
            with unfinished.open("w", encoding="utf-8") as file:
                yield _as_text(form, file)


def _as_text(form: Format, out: TextIO) -> Writer:
    match form:
        case Format.CSV:
            return Csv(out, sys.stderr)
        case Format.JSON:
            return Json(out)
        case _:
            return Tables(out)
