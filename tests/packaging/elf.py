"""What an extension's file says of how it was hardened, as ``readelf`` (binutils) tells it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

__all__ = ["is_elf", "weaknesses"]


def is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def weaknesses(path: Path) -> list[str]:
    """Return what an extension lacks of its hardening, in words; nothing where it has all."""
    dynamic, segments, symbols = (read(path, part) for part in ("-d", "-l", "--dyn-syms"))
    stack = re.search(r"^\s*GNU_STACK .*?([R ][W ][E ])\s+0x\w+$", segments, re.MULTILINE)
    checks = {
        "symbols are bound when first called": "BIND_NOW" not in dynamic,
        "relocated addresses stay writable": "GNU_RELRO" not in segments,
        "libraries are looked for in a run path": "RPATH)" in dynamic or "RUNPATH)" in dynamic,
        "no function checks its stack": "__stack_chk_fail" not in symbols,
        "the stack is executable": stack is None or "E" in stack[1],
        f"it exports {exports(symbols)}": exports(symbols) != [f"PyInit_{path.name.split('.')[0]}"],
    }
    return [weakness for weakness, is_there in checks.items() if is_there]


def exports(symbols: str) -> list[str]:
    """Return the names of the functions and objects that others could use."""
    return re.findall(r" (?:FUNC|OBJECT) +(?:GLOBAL|WEAK) +DEFAULT +\d+ (\w+)", symbols)


def read(path: Path, part: str) -> str:
    command = ["readelf", "-W", part, path]
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(
        command, check=True, env=environment, stdout=subprocess.PIPE, text=True
    ).stdout
