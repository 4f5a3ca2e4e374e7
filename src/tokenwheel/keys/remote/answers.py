"""What an answer to a request for keys says, and why one is no good.

The answer may be that of a client of the caller's, so it is taken for what it is at one look.
Nothing here fetches anything, and nothing knows which keys are held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ...errors import ConfigurationError
from ...exact import bytes_of, named, text_of, whole_number_of
from ...json_text import is_nested_deeper, members_once
from ..forms.jwks import KeyList, read_jwks

__all__ = ["LARGEST_BODY", "Answer", "FetchFailed", "KeyResponse", "check_answer", "read_key_set"]

LARGEST_BODY: Final = 262_144  # bytes, 256 KiB
_DEEPEST = 64  # levels
_MOST_FIELDS = 256
_MOST_KEYS = 256  # to check an RSA key takes many milliseconds
_LONGEST_ETAG = 1024  # characters
# Nothing else: asked with '*', a server would answer 304 whatever it has.
_ETAG = re.compile(r'(?:W/)?"[!#-~]*"')
_USED: Final = ("cache-control", "expires", "date", "age", "etag")


class FetchFailed(Exception):
    """Nothing could be fetched, or nothing that is of use. The text says why, without secrets."""


class KeyResponse(NamedTuple):
    """What a ``fetch`` returns that uses no client with responses of its own."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class Answer(NamedTuple):
    """An answer that says what the keys are."""

    body: bytes | None
    """None where they are as they were: 304 (RFC 9110, section 15.4.5)."""
    fields: dict[str, str]
    """What is used of its header, by names in lower case."""

    @property
    def etag(self) -> str | None:
        """What names this answer in the next request (RFC 9110, section 8.8.3)."""
        etag = self.fields.get("etag", "").strip()
        return etag if len(etag) <= _LONGEST_ETAG and _ETAG.fullmatch(etag) else None


def check_answer(response: Any, *, was_conditional: bool) -> Answer:
    """Return what a response says.

    Args:
        response: anything that has ``status_code``, ``headers`` and ``content``.
        was_conditional: True where the request was to be answered 304 if nothing has changed.

    Raises:
        FetchFailed: it is no such thing, or says that there are no keys.
    """
    try:
        given = response.status_code, response.headers, response.content
    except Exception:  # any: the response is the caller's own
        raise FetchFailed(
            "fetch= must return a response with status_code, headers and content, not "
            f"{named(response)}"
        ) from None
    status, fields, body = whole_number_of(given[0]), _used_fields_in(given[1]), bytes_of(given[2])
    if status == 304 and was_conditional:
        return Answer(None, fields)
    if status != 200:
        raise FetchFailed(f"it answered {'no status' if status is None else f'{status:d}'}")
    if body is None:
        raise FetchFailed(f"fetch= must return its content as bytes, not {named(given[2])}")
    if len(body) > LARGEST_BODY:
        raise FetchFailed(f"it answered more than {LARGEST_BODY // 1024} KiB")
    return Answer(body, fields)


def read_key_set(body: bytes, algorithms: Sequence[str] | None) -> KeyList:
    """Return the public keys that a JWK Set lists.

    Args:
        body: its text, which is parsed whole.
        algorithms: those that are taken; None for all.

    Raises:
        FetchFailed: it is no JWK Set, or lists no key that can be used.
    """
    members = _object_in(body)
    entries = members.get("keys")
    if type(entries) is list and len(entries) > _MOST_KEYS:
        raise FetchFailed(f"it lists more than {_MOST_KEYS} keys")
    try:
        return read_jwks(members, algorithms=algorithms, only_public=True)
    except ConfigurationError as error:
        reason = str(error)
    raise FetchFailed(f"it answered what is of no use: {reason}")


def _object_in(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, where no object has a member twice.

    Which of the two counts depends on who reads, so that neither does.
    """
    members: Any = None
    try:
        if not is_nested_deeper(body, _DEEPEST):
            members = json.loads(body.decode("utf-8-sig"), object_pairs_hook=members_once)
    except (ValueError, RecursionError):
        members = None
    if type(members) is not dict:
        raise FetchFailed(
            "it answered what is no JSON object in UTF-8, or one that is nested too deeply or has "
            "a member twice"
        )
    return members


def _used_fields_in(headers: Any) -> dict[str, str]:
    """Return the fields that are used of a header. What can't be read is left out."""
    used: dict[str, str] = {}
    try:
        pairs = [*headers.items()]
    except Exception:  # any: they are the caller's own
        return used
    for given_name, given_value in pairs[:_MOST_FIELDS]:
        name, value = text_of(given_name), text_of(given_value)
        if name is not None and value is not None and (lower := name.lower()) in _USED:
            used[lower] = f"{used[lower]}, {value}" if lower in used else value
    return used
