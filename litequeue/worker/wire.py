"""How a worker and its sandboxes speak: JSON, with our own records by name."""

from __future__ import annotations

from typing import Any

from ..codec import JSON
from ..errors import EncodingError
from ..job import Cancelled, Claimed, Complete, Fail, Failure, Lease, Received, Snoozed, StoredResult

_RECORDS: dict[str, Any] = {
    "Lease": Lease,
    "Claimed": Claimed,
    "Received": Received,
    "Failure": Failure,
    "Complete": Complete,
    "Fail": Fail,
    "Snoozed": Snoozed,
    "Cancelled": Cancelled,
    "StoredResult": StoredResult,
}


def to_bytes(message: dict[str, object]) -> bytes:
    """A message as it goes through the pipe."""
    return JSON.encode({key: _packed(value) for key, value in message.items()}).encode()


def from_bytes(data: bytes) -> dict[str, Any]:
    """The message that came. Raises `EncodingError` for one that is none."""
    return {key: _unpacked(value) for key, value in JSON.decode(data).items()}


def _packed(value: Any) -> object:
    name = type(value).__name__
    if _RECORDS.get(name) is not type(value):
        return value
    return {"record": name, "fields": [_packed(getattr(value, field)) for field in value.__match_args__]}


def _unpacked(value: Any) -> Any:
    if not isinstance(value, dict) or "record" not in value:
        return value
    kind = _RECORDS.get(value["record"])
    if kind is None:
        raise EncodingError(f"a sandbox speaks of a {value['record']!r}, which is no record of ours")
    return kind(*map(_unpacked, value["fields"]))
