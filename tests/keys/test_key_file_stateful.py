"""A key file that is replaced, broken, removed, restored and put back, beside a dull model.

Invariant: what verifies is the content that was good at the last look, and what signs is the key of
it whose time came last.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tokenwheel import Key

from .key_files import Follower, kid_of, replace, text_of_set, token_by, write_in_place

KEYS = {kid: Key.generate("ES256", kid=kid) for kid in ("a", "b", "c", "d")}
NOW = 1_700_000_000
Content = dict[str, int]
"""From when each key of a file signs, by kid."""

contents = st.dictionaries(st.sampled_from([*KEYS]), st.integers(NOW - 9, NOW + 9), min_size=1)
putting = st.sampled_from([replace, write_in_place])


def _text(content: Content) -> bytes:
    return text_of_set(*(KEYS[kid] for kid in content), **content)


class FollowedFile(RuleBasedStateMachine):
    @initialize(content=contents)
    def begin(self, content: Content) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "keys.json"
        self.aside = self.path.with_name("aside")
        replace(self.path, _text(content))
        self.follower = Follower(self.path)
        self.tokens = {kid: token_by(key, self.follower.clock) for kid, key in KEYS.items()}
        self.in_force: Content = content
        self.in_file: Content | None = content  # None where that is no key file
        self.put_aside: Content | None = None

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(content=contents, put=putting)
    def change(self, content: Content, put: Callable[[Path, bytes], None]) -> None:
        put(self.path, _text(content))
        self.in_file = content

    @rule(put=putting, cut=st.integers(1, 100))
    def leave_half(self, put: Callable[[Path, bytes], None], cut: int) -> None:
        put(self.path, _text(self.in_force)[:-cut])
        self.in_file = None

    @rule(put=putting, text=st.sampled_from([b"", b"no key", b'{"keys": []}', b"[]", b"{}"]))
    def put_rubbish(self, put: Callable[[Path, bytes], None], text: bytes) -> None:
        put(self.path, text)
        self.in_file = None

    @rule()
    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        self.in_file = None

    @precondition(lambda self: self.path.exists())
    @rule()
    def move_aside(self) -> None:
        self.path.replace(self.aside)
        self.put_aside, self.in_file = self.in_file, None

    @precondition(lambda self: self.aside.exists())
    @rule()
    def put_back(self) -> None:
        self.aside.replace(self.path)
        self.in_file = self.put_aside

    @rule(content=contents, kid=st.sampled_from([*KEYS]))
    def present_the_token_of_a_key_that_just_came(self, content: Content, kid: str) -> None:
        self.change(content, replace)
        self.follower.timer.advance(0.02)
        if kid in content or kid not in self.in_force:
            assert self.follower.reads(self.tokens[kid]) == (kid in content)

    @rule(seconds=st.integers(-12, 12))
    def set_clock(self, seconds: float) -> None:
        self.follower.clock.now = min(max(self.follower.clock.now + seconds, NOW), NOW + 20)
        if self.in_file == self.in_force:  # There is nothing to be found at the file.
            assert kid_of(self.follower.create()) == self.signing()

    @rule(seconds=st.floats(-0.1, 5))
    def wait(self, seconds: float) -> None:
        self.follower.timer.advance(seconds)

    @invariant()
    def the_next_look_finds_what_the_model_has(self) -> None:
        if not hasattr(self, "follower"):
            return
        follower = self.follower
        follower.timer.advance(0.06)
        token = follower.create()
        if self.in_file is not None:
            self.in_force = self.in_file
        assert kid_of(token) == self.signing()
        assert follower.reads(token)
        assert [key.kid for key in follower.keys] == [*self.in_force]
        assert {kid for kid in KEYS if follower.reads(self.tokens[kid])} == {*self.in_force}
        assert (follower.keys.stats().last_error is None) == (self.in_file is not None)

    def signing(self) -> str:
        """Return the kid of the key that signs."""
        now, content = self.follower.clock.now, self.in_force
        begun = {kid: begins for kid, begins in content.items() if begins <= now}
        wanted = max(begun.values()) if begun else min(content.values())
        return next(kid for kid, begins in (begun or content).items() if begins == wanted)


TestFollowedFile = FollowedFile.TestCase
