"""Between the wire's messages and the books' proofs."""

from ledger import fields, wire
from ledger.audit.store import Kept
from ledger.errors import FieldMissing, NumberInvalid, TreeSizeInvalid
from ledger.v1 import audit_pb2 as pb


def checkpoint(kept: Kept) -> pb.Checkpoint:
    """A checkpoint as the wire has it."""
    return pb.Checkpoint(
        number=kept.number,
        size=kept.size,
        root=kept.root,
        note=kept.note,
        verifier_key=kept.verifier,
        written_at=wire.moment(kept.written_at),
        written_by=kept.written_by,
        reason=kept.reason,
    )


def entry_number(request: pb.GetInclusionProofRequest) -> int:
    """The entry that is to be proved. Raises FieldMissing or NumberInvalid."""
    return _from_one("entry_number", request.entry_number)


def first_size(request: pb.GetConsistencyProofRequest) -> int:
    """The size of the smaller tree. Raises FieldMissing or NumberInvalid."""
    return _from_one("first_size", request.first_size)


def checkpoint_number(request: pb.GetCheckpointRequest) -> int:
    """Which checkpoint is asked for; 0 is the last one. Raises NumberInvalid."""
    if request.number < 0:
        raise NumberInvalid(
            f"number is a checkpoint's, or 0, not {request.number}", field="number", value=request.number
        )
    return request.number


def size(field: str, asked: int, holds: int) -> int:
    """The size of a tree that holds so many entries at least, or 0 for all that there are.

    Raises NumberInvalid or TreeSizeInvalid.
    """
    if 0 < fields.number(field, asked) < holds:
        raise TreeSizeInvalid(f"a tree of {asked} entries does not hold {holds}", field=field, value=asked)
    return asked


def _from_one(field: str, value: int) -> int:
    if not value:
        raise FieldMissing(f"{field} is required", field=field)
    return fields.number(field, value)
