"""A key file as it is edited: what a change doesn't concern stays in it as it was.

Members that aren't understood, and keys that are passed over, belong to the operator. So the JSON
is edited, and not written anew from the keys that were read. What comes out is read back before
anybody gets it, and must hold what the change was to make of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ..errors import ConfigurationError
from ..json_text import members_once
from ..keys import HASH_BYTES, Key
from ..keys.file.file_text import read_key_text
from ..keys.forms.jwks import KeyList, ListedKey, read_jwks
from ..keys.forms.known_keys import KnownKeys

__all__ = ["KeyDocument", "read_keys"]

_SIGNS_FROM = "tokenwheel_signs_from"
_UPDATED_AT = "tokenwheel_updated_at"

_ENCRYPTED = (b"-----BEGIN ENCRYPTED ", b"Proc-Type: 4,ENCRYPTED")  # RFC 7468; RFC 1421


def read_keys(content: bytes, algorithm: str | None) -> KeyList:
    """Return the keys in a file, as ``read_key_text`` does, and say where a password would be due.

    Raises:
        ConfigurationError: it is no key file, or an encrypted one.
    """
    if any(mark in content for mark in _ENCRYPTED):
        raise ConfigurationError(
            "the key file is encrypted, and no command takes a password: `openssl pkey -in FILE "
            "-out PLAIN` asks for it. Use PLAIN, and delete it afterwards. No service needs that: "
            "KeyFile(path, password=...)"
        )
    return read_key_text(content, algorithm=algorithm)


class KeyDocument:
    """The text of a key file, to be edited.

    Args:
        content: the text: a JWK Set, or a JWK, which becomes a set of one.

    Attributes:
        keys: what it says.
        was_single: True for a JWK.

    Raises:
        ConfigurationError: it is in PEM form, or no key file.
    """

    def __init__(self, content: bytes) -> None:
        if b"-----BEGIN " in content and not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(
            (b"{", b"[")
        ):
            raise ConfigurationError(
                "the key file is in PEM form, which has no room for a second key's times, and "
                "other programs may read it as it is. `tokenwheel keys convert FILE --out NEW` "
                "makes a JWK Set of it, which the service then reads instead"
            )
        self._known = KnownKeys()
        self.keys = read_key_text(content, known=self._known)
        self._members: dict[str, Any] = _parsed(content)
        self.was_single = "keys" not in self._members
        if self.was_single:
            self._members.pop(_UPDATED_AT, None)
            self._members = {"keys": [self._members]}

    def edited(self, changed: KeyList) -> bytes:
        """Return the text with another list of keys in it.

        Args:
            changed: the keys that stay, some of them with other times, and new ones behind them.

        Raises:
            ConfigurationError: what comes out would not say that.
        """
        before = {_name(listed.key): listed for listed in self.keys.keys}
        after = {_name(listed.key): listed for listed in changed.keys}
        entries = []
        for entry in self._members["keys"]:
            name = self._name_of_entry(entry)
            if name is None or name not in before:
                entries.append(entry)  # It was passed over, and stays.
            elif name in after:
                is_changed = after[name] != before[name]
                entries.append(_with_times(entry, after[name]) if is_changed else entry)
        entries += [
            _with_times(listed.key.to_jwk(private=True), listed)
            for name, listed in after.items()
            if name not in before
        ]
        members = {**self._members, "keys": entries}
        if changed.updated_at is not None:
            members[_UPDATED_AT] = changed.updated_at
        text = json.dumps(members, indent=2).encode() + b"\n"
        if list(_told(read_key_text(text, known=self._known))) != list(_told(changed)):
            raise ConfigurationError(
                "the key file was left alone: read back, it would use other keys than it should, "
                "as where one kid is there twice. Give each key a kid of its own first"
            )
        return text

    def _name_of_entry(self, entry: Any) -> tuple[object, ...] | None:
        """Return the name of the key in an entry; None where no key can be read from it."""
        with suppress(ConfigurationError):
            return _name(read_jwks({"keys": [entry]}, known=self._known).keys[0].key)
        return None


def _parsed(content: bytes) -> dict[str, Any]:
    parsed: Any = None
    with suppress(ValueError, RecursionError):
        parsed = json.loads(content, object_pairs_hook=members_once)
    if type(parsed) is not dict:
        raise ConfigurationError(
            "the key file cannot be edited: an object in it has one name twice, or is nested too "
            "deeply"
        )
    return parsed


def _name(key: Key) -> tuple[object, ...]:
    """Return what the entries of a key in a file have in common, be they private or public."""
    material = key.to_jwk(private=True)["k"] if key.algorithm in HASH_BYTES else key.to_pem()
    return key.kid, key.algorithm, material


def _with_times(entry: dict[str, Any], listed: ListedKey) -> dict[str, Any]:
    times = {"iat": listed.made_at, _SIGNS_FROM: listed.signs_from}
    return entry | {name: time for name, time in times.items() if time is not None}


def _told(keys: KeyList) -> Iterator[object]:
    """Yield what a set says, to be compared."""
    yield keys.updated_at
    for listed in keys.keys:
        yield _name(listed.key), listed.key.can_sign, listed.made_at, listed.signs_from
