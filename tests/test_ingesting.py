"""`ledger ingest`: every file gets its word, a bad one stops no other, and the answer says whether all is well."""

import re
from pathlib import Path

import pytest
import serving

from ledger.errors import BookNotFound
from reconciliation.files import IN_THE_OPEN
from service.ingesting import ingest_files

SOUND = (
    "ISA*00*          *00*          *ZZ*PAYER          *ZZ*US             *260602*1400*^*00501*000000006*0*P*:~"
    "GS*HP*P*U*20260603*1400*6*X*005010X221A1~ST*835*0001~"
    "BPR*I*100.00*C*ACH************20260605~TRN*1*EFT1*1512345678~N1*PR*SUMMIT~"
    "CLP*C1*1*200.00*100.00*0.00*12*PC1*11*1~SVC*HC:90837*200.00*100.00**1~DTM*472*20260408~CAS*CO*45*100.00~"
    "SE*8*0001~GE*1*6~IEA*1*000000006~"
)


@pytest.fixture
def claim(ledger: serving.Ledger) -> serving.Ledger:
    """A claim that SOUND pays in full."""
    session = serving.session("C1", payer="SUMMIT", allowed="100.00", charge="200.00", service_code="90837")
    ledger.postings.RecordSession(session)
    return ledger


def file(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_sound_file(claim: serving.Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = file(tmp_path, "june.835", SOUND)
    assert ingest_files(claim.url, IN_THE_OPEN, "main", [path])
    said = capsys.readouterr().out
    assert re.search(r"june.835\W+EFT1\W+settled\W+100.00\W+100.00\W+0.00\W+1\W+0\b", said)
    assert "june.835 decided: paid in full 1" in said
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said), "control characters in a pipe"
    assert claim.balance("Assets:Receivable:Insurer:SUMMIT") == "0.00"
    assert ingest_files(claim.url, IN_THE_OPEN, "main", [path])
    assert "june.835 came before; nothing of it is posted again" in capsys.readouterr().out


def test_a_bad_file_stops_no_other(
    claim: serving.Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [
        file(tmp_path, "empty.835", ""),
        file(tmp_path, "notes.txt", "no remittance"),
        tmp_path / "missing.835",
        file(tmp_path, "june.835", SOUND),
    ]
    assert not ingest_files(claim.url, IN_THE_OPEN, "main", paths)
    said = capsys.readouterr().out
    assert "june.835 decided: paid in full 1" in said
    assert "empty.835 is not taken in: the file is empty" in said
    assert "notes.txt is not taken in: the file is not an X12 835" in said
    assert "missing.835 is not taken in: No such file or directory" in said


def test_what_is_quarantined_is_not_well(
    claim: serving.Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = SOUND.replace("CAS*CO*45*100.00", "CAS*CO*45*99.00")
    assert not ingest_files(claim.url, IN_THE_OPEN, "main", [file(tmp_path, "june.835", wrong)])
    said = capsys.readouterr().out
    assert "june.835, remittance 1 of SUMMIT is quarantined: claim CLP01=C1" in said


def test_a_book_that_is_not_there(claim: serving.Ledger, tmp_path: Path) -> None:
    with pytest.raises(BookNotFound):
        ingest_files(claim.url, IN_THE_OPEN, "other", [file(tmp_path, "june.835", SOUND)])
