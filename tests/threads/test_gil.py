"""A free-threaded Python stays one when tokenwheel is imported."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tokenwheel import implementation

EXTENSIONS = len(list((Path(__file__).parents[2] / "ext").glob("*.pyx")))
needs_free_threading = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="this Python always has the GIL"
)

# An extension that doesn't declare itself safe without the GIL switches it on, and Python warns.
IMPORT_ALL = """
import importlib, pkgutil, sys, warnings
warnings.simplefilter("error")
import tokenwheel
names = [found.name for found in pkgutil.walk_packages(tokenwheel.__path__, "tokenwheel.")]
ours = [name for name in names if "._native." in name]
for name in ours:
    importlib.import_module(name)
warnings.simplefilter("default")  # From here on others are imported, too.
for name in names:
    if not name.endswith("__main__") and "django" not in name and "drf" not in name:
        importlib.import_module(name)
print(len(ours), sys._is_gil_enabled())
"""


@needs_free_threading
def test_importing_all_of_tokenwheel_leaves_the_gil_off() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    extensions, has_gil = answer.stdout.split()
    assert has_gil == "False", answer.stderr
    assert int(extensions) == EXTENSIONS > 0 or implementation == "pure"


@needs_free_threading
def test_the_suite_itself_runs_without_the_gil() -> None:
    assert sys._is_gil_enabled() is False
