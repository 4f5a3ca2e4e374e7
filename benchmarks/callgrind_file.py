"""Reads what ``valgrind --tool=callgrind`` wrote, and splits the cost of a function into parts.

The function is one of the library, and its parts add up. The format is told in valgrind's manual,
section "Callgrind Format Specification". Here it is written without compression.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

OURS = "tokenwheel"

# How the interpreter gets from a call to the function called. They are looked through, so that this
# function has a line of its own.
CALLING = re.compile(
    r"PyObject_Call|PyObject_Vectorcall|_vectorcall|FastCall|CyFunction_Vectorcall|"
    r"_PyObject_MakeTpCall|cfunction_call"
)
CALLING_NAME = "calls by way of the interpreter"


class Function(NamedTuple):
    """Its name, and the library its machine code lies in."""

    library: str
    name: str

    @property
    def is_ours(self) -> bool:
        return self.library == OURS and not CALLING.search(self.name)


class Profile(NamedTuple):
    """Instructions, of each function itself by source file, and of the calls between functions.

    The instructions of a call are all that it took, and beside them stands how often it was made.
    """

    own: Mapping[tuple[Function, str], float]
    calls: Mapping[tuple[Function, Function], float]
    times: Mapping[tuple[Function, Function], float]

    @property
    def total(self) -> float:
        return sum(self.own.values())

    def less(self, other: Profile) -> Profile:
        """Return what this profile has more than the other."""
        return Profile(
            *(
                {key: count - taken.get(key, 0) for key, count in mine.items()}
                for mine, taken in zip(self, other, strict=True)
            )
        )

    def mean(self, runs: int) -> Profile:
        """Return the mean of so many runs.

        Calls that are made less than once a run are left out: what stands around the runs makes
        them.
        """
        times = {arc: count / runs for arc, count in self.times.items() if count >= runs}
        calls = {arc: self.calls[arc] / runs for arc in times}
        return Profile({key: count / runs for key, count in self.own.items()}, calls, times)


def parse(text: str) -> Profile:
    """Return the profile in a file's text."""
    own: Counter[tuple[Function, str]] = Counter()
    calls: Counter[tuple[Function, Function]] = Counter()
    times: Counter[tuple[Function, Function]] = Counter()
    library = called_library = name = file = called = ""
    called_times = 0
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "ob":
            library = called_library = library_name(value)
        elif key in ("fl", "fi", "fe"):
            file = Path(value).name
        elif key == "fn":
            name, called_library = function_name(value), library
        elif key == "cob":
            called_library = library_name(value)
        elif key == "cfn":
            called = function_name(value)
        elif key == "calls":
            called_times = int(value.split()[0])
        elif line[:1].isdigit():
            count = int(line.split()[1])
            if called_times:
                arc = Function(library, name), Function(called_library, called)
                calls[arc] += count
                times[arc] += called_times
                called_library, called_times = library, 0
            else:
                own[Function(library, name), file] += count
    return Profile(own, calls, times)


def split(profile: Profile) -> tuple[float, dict[str, float]]:
    """Return what the library's function takes that others call, and its parts.

    A part is what one of the library's functions takes itself, or what they ask of one function of
    others, with all that this one calls. Code inlined from a .pxd file is a part of its own.
    """
    entered: dict[Function, float] = defaultdict(float)
    for (caller, called), count in profile.calls.items():
        if called.is_ours and not caller.is_ours:
            entered[called] += count
    entry = max(entered, key=entered.__getitem__)
    reached = [entry]
    parts: dict[str, float] = defaultdict(float)
    for function in reached:
        for (owner, file), count in profile.own.items():
            if owner == function:
                parts[part_name(function, file)] += count
        for (caller, called), count in profile.calls.items():
            if caller == function and called not in reached:
                if called.is_ours or CALLING.search(called.name):
                    reached.append(called)
                else:
                    parts[part_name(called)] += count
    return entered[entry], parts


def part_name(function: Function, file: str = "") -> str:
    if not function.is_ours:
        return (
            CALLING_NAME
            if CALLING.search(function.name)
            else "msgspec.json.decode"
            if function.library == "_core"
            else function.name
        )
    return f"{function.name}, inlined from {file}" if file.endswith(".pxd") else function.name


def library_name(path: str) -> str:
    return OURS if f"/{OURS}/_native/" in path else Path(path).name.partition(".")[0]


def function_name(symbol: str) -> str:
    """Return a function's name as in its source.

    Callgrind numbers the levels of a recursion. glibc has one variant of a function a processor.
    Cython puts before each part of a path the length of that part, and before the name of a ``def``
    a counter.
    """
    symbol = re.sub(r"'\d+$", "", symbol)
    symbol = re.sub(
        r"^_*(mem\w+?|str\w+?)_(avx|sse|evex|erms|unaligned|generic)\w*$", r"\1", symbol
    )
    made_by_cython = re.fullmatch(r"__pyx_(?:f|pw|pf|tp_(dealloc|new))_(\d.*)", symbol)
    if made_by_cython is None:
        return symbol
    parts, rest = [], made_by_cython[2]
    while numbered := re.match(r"(\d+)(.*)", rest):
        length = int(numbered[1])
        if numbered[2][length : length + 1] != "_":
            rest = numbered[2]
            break
        parts.append(numbered[2][:length])
        rest = numbered[2][length + 1 :]
    return ".".join([*parts[3:], rest, *filter(None, made_by_cython.groups()[:1])])
