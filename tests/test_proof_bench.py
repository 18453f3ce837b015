"""The benchmark of proofs runs in small, and its page says what was found. How fast, is no business of a test."""

import asyncio
import os
from pathlib import Path
from typing import Any, cast

import psycopg
from serving import Ledger, cr, dr

from benchmarks import page, proof, treeless
from benchmarks.bare import plain
from benchmarks.cases import Place
from benchmarks.figures import Figures
from benchmarks.processes import Family
from benchmarks.proof import Posted, Sizes
from ledger.v1 import audit_pb2 as au
from service import upkeep
from service.postgres import Urls

SMALL = Sizes(batches=1, leaves=600, proofs=2)


def test_a_tree_is_grown_and_a_bundle_judged(ledger: Ledger, tmp_path: Path) -> None:
    for _ in range(10):
        ledger.post("2026-04-08", dr("Assets:Cash", "1.00"), cr("Liabilities:UnappliedCash", "1.00"))
    ours, nobody = Family(os.getpid()), cast(Any, None)
    with psycopg.connect(plain(ledger.url), autocommit=True) as owner:
        urls = Urls(ledger.url, ledger.url)
        place = Place(urls, "", "", ours, ours, ours, nobody, owner, tmp_path, 1, 5)
        filling = proof._grown(place, SMALL)
        asked = au.GetInclusionProofRequest(book="tree", entry_number=600)
        assert len(ledger.audit.GetInclusionProof(asked).path) == 6
        few, many, alone, export = proof._bundles(place, "main")
    assert few is many  # there is nothing to learn from a tenth of so few
    assert many.entries == 10
    assert min(filling, alone, export, few.cpu_seconds, many.resident_bytes) > 0
    figures = Figures(rate=1, p50=1.5, p95=2, p99=51, server_cpu=30, postgres_cpu=40)
    rounds = [(Posted(rate, cpu), Posted(1000, 100)) for rate, cpu in ((900, 110), (800, 112), (950, 90))]
    said = page.verdicts(proof._verdicts(SMALL, rounds, 5, figures, few, many))
    assert [line.split(" | ")[2] for line in said[2:6]] == ["0.90 ×", "1.10 ×", "0.05 ×", "51.0 ms"]
    assert [line.endswith("| met |") for line in said[2:6]] == [True, True, True, False]
    told = "\n".join(proof._told(SMALL, rounds, filling, figures, figures, many, alone, export))
    assert "| round 1 | 900 / 110 | 1,000 / 100 |" in told
    assert "| inclusion | 1.50 | 51.00 | 70 |" in told
    assert "A bundle of 10 entries was judged in" in told


def test_what_is_left_out_is_what_the_upkeep_calls() -> None:
    """Or posting would be compared with itself."""
    assert upkeep.tree is treeless.tree
    assert "tree.fill" in Path(upkeep.__file__).read_text()
    assert asyncio.run(treeless.nothing(cast(Any, None))) == 0
