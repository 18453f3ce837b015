"""Whatever arrives on any method: an answer or a refusal with its reason, never a failure of the server's own."""

from collections.abc import Callable
from typing import Any

import grpc
import pytest
import serving
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Ledger, session
from test_callers import ENDLESS, METHODS

TEXTS = st.one_of(
    st.sampled_from(
        ["", "fuzz", "USD", "2026-04-08", "Assets:Cash", "Equity:Opening", "AETNA", "C1", "0", "-1", "\0"]
    ),
    st.sampled_from(["9999-12-31", "0001-01-01", "2026-02-30", "Assets", "Assets:", ":", "%", "'; --", "é" * 300]),
    st.text(max_size=30),
)
WHOLE = (0, 1, -1, 2, 99, 10_000, 2**31 - 1)
LONG = (*WHOLE, 2**63 - 1, -(2**63), 10**15, 10**15 + 1)
VALUES: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: TEXTS,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=40),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: st.sampled_from(WHOLE),
    FieldDescriptor.TYPE_INT64: st.sampled_from(LONG),
    FieldDescriptor.TYPE_ENUM: st.sampled_from((0, 1, 2, 3, 99, -1)),
}
USUAL = {"book": "fuzz", "validate_only": False}
BROKEN = {"INTERNAL", "UNKNOWN", "UNIMPLEMENTED"}
# All methods read requests in one place: few for each of them are 1,500 for that place, and 2,500 with fields set.
FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def books(server: Ledger) -> Ledger:
    """A book that is in use."""
    serving.open_book(server, "fuzz")
    server.postings.RecordSession(session("C1", book="fuzz", patient_share="20.00"))
    return server.of("fuzz")


def called(books: Ledger, name: str, requests: list[bytes]) -> serving.Refused | None:
    """Calls a method with the bytes of its messages; how it was refused, or None where it answered."""
    path, method = METHODS[name]
    form: dict[tuple[bool, bool], Callable[..., Any]] = {
        (False, False): books.channel.unary_unary,
        (True, False): books.channel.stream_unary,
        (False, True): books.channel.unary_stream,
        (True, True): books.channel.stream_stream,
    }
    call = form[method.client_streaming, method.server_streaming](path)
    patience = 0.1 if name in ENDLESS else serving.PATIENCE_SECONDS
    try:
        answer = call(iter(requests) if method.client_streaming else requests[0], timeout=patience)
        if name in ENDLESS:
            next(answer)
            answer.cancel()
        elif method.server_streaming:
            list(answer)
    except grpc.RpcError as error:
        if name in ENDLESS and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return None  # it waits for entries that nobody posts
        return serving.refusal(error)
    return None


def sound(found: serving.Refused | None) -> None:
    """An answer, or a refusal of ours: gRPC's own and the server's failures bear no reason."""
    assert found is None or (found.reason and found.code not in BROKEN), found


@pytest.mark.parametrize("name", sorted(METHODS))
@settings(FEW, max_examples=15)
@given(data=st.data())
def test_any_bytes(books: Ledger, name: str, data: st.DataObject) -> None:
    sound(called(books, name, data.draw(st.lists(st.binary(max_size=80), min_size=1, max_size=3))))


@st.composite
def messages(draw: st.DrawFn, descriptor: Any, depth: int = 0) -> Any:
    """A message of a kind with any fields set to anything, of the book that is in use more often than not."""
    made = message_factory.GetMessageClass(descriptor)()
    for field in descriptor.fields:
        usual = field.name in USUAL and depth == 0
        if usual and draw(st.integers(0, 4)):
            setattr(made, field.name, USUAL[field.name])
        elif draw(st.integers(0, 3)):
            _set(draw, made, field, depth)
    return made


def _set(draw: st.DrawFn, made: Any, field: Any, depth: int) -> None:
    of_messages = field.type == FieldDescriptor.TYPE_MESSAGE
    one = messages(field.message_type, depth + 1) if of_messages and depth < 4 else VALUES.get(field.type)
    if one is None:
        return
    if field.is_repeated:
        getattr(made, field.name).extend(draw(st.lists(one, max_size=3)))
    elif of_messages:
        getattr(made, field.name).CopyFrom(draw(one))
    else:
        setattr(made, field.name, draw(one))


@pytest.mark.parametrize("name", sorted(METHODS))
@FEW
@given(data=st.data())
def test_any_fields(books: Ledger, name: str, data: st.DataObject) -> None:
    kind = METHODS[name][1].input_type
    made = data.draw(st.lists(messages(kind), min_size=1, max_size=3))
    sound(called(books, name, [one.SerializeToString() for one in made]))


def test_the_books_are_sound_after_all_that(books: Ledger) -> None:
    assert books.wrong() == []
