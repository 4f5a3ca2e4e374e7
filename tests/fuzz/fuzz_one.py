"""Fuzzes one target until libFuzzer's options say enough: ``python -m tests.fuzz.fuzz_one TARGET``.

The options, and the folders of the corpus, follow the target's name. This needs Atheris.
"""

from __future__ import annotations

import logging
import sys

import atheris

with atheris.instrument_imports(include=["tokenwheel"]):
    from tests.fuzz.targets import loaded

    with loaded(sys.argv[1]) as check:
        # What a damaged storage makes a service say is said millions of times here.
        logging.disable()
        atheris.Setup([sys.argv[0], *sys.argv[2:]], check)
        atheris.Fuzz()
