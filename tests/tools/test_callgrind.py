"""The page on instructions reads valgrind's file rightly and splits a cost into its parts."""

from __future__ import annotations

import pytest

pytest.importorskip(
    "benchmarks.callgrind_file", reason="a wheel is tested without the benchmarks beside it"
)

from benchmarks.callgrind_file import CALLING_NAME, Function, Profile, function_name, parse, split

# The interpreter calls `verify`: 10 for itself, 5 in code inlined from a .pxd, 7 in `recall`, 30 in
# memcmp, and 100 in the clock, which it reaches by way of the interpreter, for 4. The clock's 100
# are 60 of its own and 40 for memory.
FILE = """
fl=ceval.c
ob=/usr/lib/libpython3.13.so.1.0
fn=_PyEval_EvalFrameDefault
1 1000
cob=/build/tokenwheel/_native/verifier.cpython-313.so
cfi=ext/verifier.pyx
cfn=__pyx_pw_10tokenwheel_7_native_8verifier_8Verifier_13verify
calls=1 5
1 156
2 3

fl=ext/verifier.pyx
ob=/build/tokenwheel/_native/verifier.cpython-313.so
fn=__pyx_pw_10tokenwheel_7_native_8verifier_8Verifier_13verify
5 6
fi=ext/index.pxd
9 5
fe=ext/verifier.pyx
6 4
cob=/usr/lib/libpython3.13.so.1.0
cfn=PyObject_CallNoArgs
calls=1 9
7 104
cfn=__pyx_f_10tokenwheel_7_native_8verifier_8Verifier_recall
calls=1 7
6 37

fn=__pyx_f_10tokenwheel_7_native_8verifier_8Verifier_recall
8 7
cob=/usr/lib/libc.so.6
cfn=__memcmp_avx2_movbe
calls=1 0
8 30

ob=/usr/lib/libpython3.13.so.1.0
fl=call.c
fn=PyObject_CallNoArgs
1 4
cfn=time_time
calls=1 3
1 100
fn=time_time
1 60
cfn=_PyObject_Malloc
calls=1 0
1 40
fn=_PyObject_Malloc
1 40
ob=/usr/lib/libc.so.6
fn=__memcmp_avx2_movbe
1 30
"""
VERIFY = Function("tokenwheel", "Verifier.verify")


def test_the_parts_of_a_read_are_named_and_add_up() -> None:
    total, parts = split(parse(FILE))
    assert parts == {
        "Verifier.verify": 10,
        "Verifier.verify, inlined from index.pxd": 5,
        "Verifier.recall": 7,
        "memcmp": 30,
        CALLING_NAME: 4,
        "time_time": 100,
    }
    assert total == sum(parts.values()) == 156


def test_what_surrounds_the_reads_falls_out() -> None:
    once = parse(FILE)
    twice = Profile(*({key: 2 * count for key, count in each.items()} for each in once))
    start = {(Function("libpython3", "import"), "import.c"): 5_000.0}
    more = Profile({**twice.own, **start}, twice.calls, twice.times)
    less = Profile({**once.own, **start}, once.calls, once.times)
    assert split(more.less(less).mean(1)) == split(once)
    assert more.less(less).total == once.total == 1159


def test_a_call_made_less_than_once_a_read_is_none_of_its_parts() -> None:
    profile = parse(FILE)
    rare = Function("libpython3", "gc_collect_main")
    profile = Profile(
        profile.own, {**profile.calls, (VERIFY, rare): 50.0}, {**profile.times, (VERIFY, rare): 1.0}
    )
    ten = Profile(
        *({key: 10 * count for key, count in each.items()} for each in profile[:2]),
        dict.fromkeys(profile.times, 10.0) | {(VERIFY, rare): 1.0},
    )
    assert "gc_collect_main" not in split(ten.mean(10))[1]


@pytest.mark.parametrize(
    "symbol, name",
    [
        ("__pyx_f_10tokenwheel_7_native_8verifier_decoded", "decoded"),
        (
            "__pyx_f_10tokenwheel_7_native_8verifier_8Verifier_verify_unseen",
            "Verifier.verify_unseen",
        ),
        ("__pyx_pw_10tokenwheel_7_native_8verifier_8Verifier_13verify", "Verifier.verify"),
        ("__pyx_tp_dealloc_10tokenwheel_7_native_8verifier_Remembered", "Remembered.dealloc"),
        ("__pyx_f_11json_object_count_members'2", "count_members"),
        ("__memmove_avx_unaligned_erms", "memmove"),
        ("_PyEval_EvalFrameDefault'2", "_PyEval_EvalFrameDefault"),
        ("EVP_DigestUpdate", "EVP_DigestUpdate"),
    ],
)
def test_functions_have_the_names_of_their_sources(symbol: str, name: str) -> None:
    assert function_name(symbol) == name
