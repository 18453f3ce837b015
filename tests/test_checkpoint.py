"""Checkpoints and keys as C2SP writes them: what others have signed is read, and what is changed is refused."""

import base64

import pytest

from ledger.audit.checkpoint import (
    CheckpointWrong,
    KeysRefused,
    read_note,
    read_signing_keys,
    read_verifier,
    verified,
)
from ledger.audit.merkle import EMPTY_ROOT, leaf_hash

# The key and the note with which the authors of the signed note format test their own reader.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SEED = base64.b64encode(bytes(range(32))).decode()
KEYS = read_signing_keys(f"ledger.example/books:{SEED}, old:{base64.b64encode(bytes(32)).decode()}")
SIGNING, OLD = KEYS.keys
ROOT = leaf_hash(b"root")
NOTE = SIGNING.signed("main", 1204, ROOT)


def test_a_verifier_key_of_others_is_read_and_written_alike() -> None:
    assert str(read_verifier(NEUMANN)) == NEUMANN


def test_a_checkpoint_says_what_was_signed() -> None:
    origin, size, root, empty, signature, end = NOTE.split("\n")
    assert (origin, size, root) == ("ledger.example/books/main", "1204", base64.b64encode(ROOT).decode())
    assert signature.startswith("— ledger.example/books/main ")
    assert (empty, end) == ("", "")
    verifier = read_verifier(str(SIGNING.verifier("main")))
    said, [by] = verified(NOTE, [OLD.verifier("main"), verifier])
    assert (said.origin, said.size, said.root, by) == (origin, 1204, ROOT, verifier)


def test_a_book_without_entries_has_a_checkpoint() -> None:
    said, _ = verified(SIGNING.signed("main", 0, EMPTY_ROOT), [SIGNING.verifier("main")])
    assert said.size == 0


def test_what_others_signed_beside_it_is_passed_over() -> None:
    witness = read_note(OLD.signed("main", 1204, ROOT))[1][0]
    assert verified(f"{NOTE}{witness}\n", [SIGNING.verifier("main")])[0].size == 1204


def test_extension_lines_are_kept_and_signed() -> None:
    with_more = NOTE.replace("\n\n", "\nmore\n\n")
    assert read_note(with_more)[0].more == ("more",)
    with pytest.raises(CheckpointWrong, match="is not one of this text"):
        verified(with_more, [SIGNING.verifier("main")])


def test_a_signature_for_one_book_is_none_for_another() -> None:
    with pytest.raises(CheckpointWrong, match=r"signed by ledger.example/books/main\+\w+, and by no key"):
        verified(NOTE, [SIGNING.verifier("other")])


def test_a_key_signs_under_its_own_origin_alone() -> None:
    text, _ = NOTE.split("\n\n")
    other = text.replace("books/main", "books/other") + "\n"
    forged = SIGNING.private.sign(other.encode())
    line = base64.b64encode(SIGNING.verifier("main").key_id + forged).decode()
    with pytest.raises(CheckpointWrong, match=r"its origin is ledger\.example/books/other"):
        verified(f"{other}\n— ledger.example/books/main {line}\n", [SIGNING.verifier("main")])


def test_no_character_can_be_another() -> None:
    for position, character in enumerate(NOTE):
        changed = NOTE[:position] + ("A" if character != "A" else "B") + NOTE[position + 1 :]
        with pytest.raises(CheckpointWrong):
            verified(changed, [SIGNING.verifier("main")])


BROKEN = {
    "nothing": "",
    "no signature": NOTE.partition("\n\n")[0],
    "no end": NOTE[:-1],
    "a size with a zero before it": NOTE.replace("\n1204\n", "\n01204\n"),
    "a size below nothing": NOTE.replace("\n1204\n", "\n-1\n"),
    "a size in other digits": NOTE.replace("\n1204\n", "\n١٢\n"),
    "a size that no number holds": NOTE.replace("\n1204\n", f"\n{10**19}\n"),
    "half a root": NOTE.replace(base64.b64encode(ROOT).decode(), base64.b64encode(ROOT[:16]).decode()),
    "a carriage return": NOTE.replace("\n", "\r\n"),
    "too many signatures": NOTE + NOTE.split("\n")[4].join(["", "\n"]) * 16,
    "a tail": f"{NOTE}more\n",
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_checkpoint(case: str) -> None:
    with pytest.raises(CheckpointWrong):
        verified(BROKEN[case], [SIGNING.verifier("main")])


REFUSED = {
    "no key": ("", "no key is given"),
    "no name": (f":{SEED}", "key 1 is not written name:base64"),
    "a name with a plus": (f"a+b:{SEED}", "key 1 is not written name:base64"),
    "a name with a space": (f"a b:{SEED}", "key 1 is not written name:base64"),
    "only the secret": (SEED, "key 1 is not written name:base64"),
    "no base64": ("a:!", "key 1 is not base64"),
    "too short": ("a:AAAA", "key 1 has 3 bytes, not 32"),
    "twice": (f"a:{SEED},a:{SEED}", "a key is given twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_keys_of_no_use(case: str) -> None:
    """And none of them is repeated in the refusal."""
    text, said = REFUSED[case]
    with pytest.raises(KeysRefused, match=said) as refused:
        read_signing_keys(text)
    assert SEED not in str(refused.value)


def test_keys_may_share_a_name_so_that_one_follows_another() -> None:
    other = base64.b64encode(bytes(32)).decode()
    both = read_signing_keys(f"a:{SEED},a:{other}")
    note = both.keys[1].signed("main", 7, ROOT)
    assert verified(note, both.verifiers("main"))[1] == [both.keys[1].verifier("main")]
    with pytest.raises(CheckpointWrong):
        verified(note, both.verifiers("main")[:1])


def test_a_private_key_does_not_show_itself() -> None:
    assert SEED not in repr(KEYS)
    assert "AAECAwQ" not in f"{KEYS!r} {SIGNING!r} {KEYS}"


@pytest.mark.parametrize(
    "text", ["", NEUMANN[:-2], NEUMANN.replace("c74f20a3", "c74f20a4"), "a+b", f"{NEUMANN}AA=="]
)
def test_verifier_keys_of_no_use(text: str) -> None:
    with pytest.raises(KeysRefused):
        read_verifier(text)
