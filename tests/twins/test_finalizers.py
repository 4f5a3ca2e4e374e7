"""What is used while it, or something beside it, is let go or collected. Both twins."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import sysconfig
import weakref
from typing import Any

import pytest

from tests.processes.support import run_apart
from tests.support import KEY, forge, with_claims

ONE = "A" * 16


def test_keys_that_verify_while_they_are_let_go_find_the_verifier_whole(made: Any) -> None:
    outcomes: list[Any] = []

    class DyingKey:
        kid, algorithm, _secret = "dying", "ES256", None

        def verify(self, message: bytes, signature: bytes) -> bool:
            return False

        def sign(self, message: bytes) -> bytes:
            return b""

        def __del__(self) -> None:
            outcomes.append(verifier.verify(forge()).subject)
            verifier._check()

    verifier = made.Verifier([KEY], **made.options())
    for _ in range(5):
        verifier.set_keys([KEY, DyingKey()])
        verifier.verify(forge())
        verifier.set_keys([KEY])
        gc.collect()
        verifier._check()
        assert verifier.verify(forge()).subject == "uid1"
    assert outcomes == ["uid1"] * 5


def test_an_iterator_outlives_its_cache_and_is_made_of_nothing_else(made: Any) -> None:
    cache = made.Cache()
    cache["a"] = 1
    walks = [iter(cache), iter(cache.items()), iter(cache.values())]
    for walk in walks:
        for owner in (None, 7, "cache", [], {}):
            with pytest.raises(TypeError):
                type(walk)(owner, 0)
    view = cache.items()
    view._mapping = None
    with pytest.raises((TypeError, AttributeError)):
        next(iter(view))
    gone = weakref.ref(cache)
    del cache, view
    gc.collect()
    assert [next(walk) for walk in walks] == ["a", ("a", 1), 1]
    del walks, walk
    gc.collect()
    assert gone() is None


def test_cycles_that_are_used_while_they_are_collected_do_no_harm(made: Any) -> None:
    used: list[str] = []

    class Node:
        def __init__(self) -> None:
            self.parts: list[Any] = []

        def __call__(self, *removal: Any) -> float:
            return 1.8e9

        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            return self is other

        def __del__(self) -> None:
            cache, table, verifier, walk = self.parts
            cache.set(self, self)
            cache.clear()
            table.revoke(ONE, 60)
            next(walk, None)
            with pytest.raises(Exception, match="revoked"):
                verifier.verify(forge())
            used.append("used")

    for _ in range(20):
        node = Node()
        cache = made.Cache(clock=node, on_remove=node)
        cache[node] = [node]
        cache["b"] = node
        table = made.Table(clock=node, before_lookup=node, timer=node)
        verifier = made.Verifier([KEY], **made.options(clock=node, revocations=table))
        verifier.verify(forge())
        node.parts = [cache, table, verifier, iter(cache)]
        next(node.parts[3])
        del node, cache, table, verifier
        gc.collect()
    assert used == ["used"] * 20


def test_finalizers_that_the_collector_runs_in_the_midst_of_a_change_neither_hang_nor_harm(
    implementation: str,
) -> None:
    run_apart(collect_in_the_midst_of_changes, implementation)


def collect_in_the_midst_of_changes(implementation: str) -> None:
    table_module, verifier_module = (
        importlib.import_module(f"tokenwheel._{implementation}.{name}")
        for name in ("revocations", "verifier")
    )
    finalized = littered = 0
    is_littering = True
    # There such small thresholds are passed over: what is allocated is counted by the hundreds.
    is_free_threaded = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))

    class Garbage:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            nonlocal finalized, is_littering
            if not is_littering:
                return
            finalized += 1
            is_littering = False
            table.revoke(f"{finalized % 1000 + 1000:016d}", 60 + finalized % 7)
            verifier.verify(tokens[finalized % 8])
            if finalized % 5 == 0:
                verifier.set_keys([LitteringKey()])
            if finalized % 11 == 0:
                table.expire()
            is_littering = True

    def litter() -> float:
        nonlocal littered
        if is_littering:
            littered += 1
            for _ in range(1 + finalized % 3):
                Garbage()
            if is_free_threaded and littered % 16 == 0:
                gc.collect()
        return 1.8e9

    class LitteringKey:
        kid, algorithm, _secret = KEY.kid, KEY.algorithm, None

        def verify(self, message: bytes, signature: bytes) -> bool:
            litter()
            return KEY.verify(message, signature)

    table = table_module.RevocationTable(clock=lambda: 1.8e9, timer=litter)
    verifier = verifier_module.Verifier(
        [LitteringKey()],
        issuer="i",
        audience=("a",),
        leeway=0,
        largest_leeway=0,
        cache_size=2,
        clock=lambda: 1.8e9,
        revocations=table,
    )
    tokens = [forge(with_claims(sid=f"{number:016d}")) for number in range(8)]
    for threshold in (1, 2, 3, 5, 8):
        gc.set_threshold(threshold, 1, 1)
        for number in range(300):
            table.revoke(f"{number + 5000:016d}", 60)
            verifier.verify(tokens[number % 8])
    is_littering = False
    assert finalized > 100
    table._check()
    verifier._check()
    assert all(table.is_revoked(f"{number + 5000:016d}") for number in range(300))


def test_what_is_used_by_a_weak_references_callback_is_whole_or_gone(made: Any) -> None:
    class Value:
        pass

    cache = made.Cache()
    seen: list[int] = []
    value = Value()
    reference = weakref.ref(value, lambda _: seen.append(len(cache) + bool(cache.set("b", 2))))
    cache["a"] = value
    del value
    cache["a"] = 1
    assert seen == [1]
    assert reference() is None
    cache._check()


def test_what_is_used_while_the_interpreter_shuts_down_does_no_harm(implementation: str) -> None:
    script = f"""
import atexit, sys
from tests.processes.support import run_apart
from tests.support import KEY, forge
from tokenwheel._{implementation}.cache import ExpiringCache
from tokenwheel._{implementation}.revocations import RevocationTable
from tokenwheel._{implementation}.signer import Signer
from tokenwheel._{implementation}.tokens import new_token
from tokenwheel._{implementation}.verifier import Verifier
ONE = "A" * 16

class Late:
    def __init__(self):
        self.cache, self.table = ExpiringCache(), RevocationTable()
        self.signer, self.forged, self.new_token = Signer(KEY), forge(), new_token
        self.verifier = Verifier([KEY], issuer="i", audience=("a",), leeway=0, largest_leeway=0,
            cache_size=9, clock=self.table.clock, revocations=self.table)
        self.cache["late"] = self
    def __del__(self):
        try:
            self.cache["later"] = self.new_token(16)
            self.cache.clear()
            self.table.revoke(ONE, 60)
            self.signer.sign(b"{{}}")
            self.verifier.verify(self.forged)
        except Exception:
            pass

late = Late()
sys.late = [late, Late()]
import builtins
builtins.late = Late()
atexit.register(late.cache.clear)
"""
    outcome = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stderr
    assert "Error" not in outcome.stderr
