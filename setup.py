"""Builds ext/*.pyx as tokenwheel._native.*, and nothing else. All settings are in pyproject.toml.

TOKENWHEEL_IMPL   pure: no extension. native: whatever stops the extensions stops the build.
                  Unset: without Cython and a C compiler, the pure implementation is installed.
TOKENWHEEL_BUILD  trace: coverage can measure the .pyx files. sanitize: for memory and UB errors.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

implementation, build = map(os.environ.get, ("TOKENWHEEL_IMPL", "TOKENWHEEL_BUILD"), ("", ""))
if implementation not in ("", "native", "pure") or build not in ("", "trace", "sanitize"):
    names = "TOKENWHEEL_IMPL is 'native', 'pure' or unset; TOKENWHEEL_BUILD is 'trace', 'sanitize'"
    raise SystemExit(f"tokenwheel: {names} or unset")

checks = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"] * (build == "sanitize")
# A slab's memory is read as several struct types, which compilers assume never to be the same.
flags = ["-fno-strict-aliasing", *(["-O1", "-g"] if checks else ["-O3", "-g0"]), *checks]
off = ["boundscheck", "wraparound", "initializedcheck", "auto_pickle", "autotestdict"]
directives = dict.fromkeys(off, False) | {"language_level": 3, "linetrace": build == "trace"}
directives |= dict.fromkeys(["cdivision", "binding", "embedsignature"], True)
directives["embedsignature.format"] = "python"
macros = [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if build == "trace" else []


class BuildExtensions(build_ext):
    """Translates the modules in turn, as Cython's threads share state; compiles side by side."""

    def build_extensions(self) -> None:
        self.parallel = self.parallel or os.cpu_count()
        # A traced module's C stays beside its source, where coverage looks for it.
        place = {"build_dir": None if build == "trace" else self.build_temp, "force": self.force}
        options = {"compiler_directives": directives, "include_path": ["ext"], **place}
        try:
            from Cython.Build import cythonize

            translated = cythonize(self.extensions, **options)
            for extension, in_c in zip(self.extensions, translated, strict=True):
                extension.sources = in_c.sources
            super().build_extensions()
        except (ImportError, BaseError, CCompilerError) as error:
            if implementation == "native":
                raise
            # Half an implementation would be worse than the pure one.
            for extension in self.extensions:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions = []
            reason = f"the extensions could not be built: {error}"
            print(
                "tokenwheel: installing the pure-Python implementation, as", reason, file=sys.stderr
            )


settings = {"include_dirs": ["ext"], "define_macros": macros, "extra_link_args": checks}
settings["extra_compile_args"] = ["/O2"] if sys.platform == "win32" else flags
paths = () if implementation == "pure" else sorted(Path("ext").glob("*.pyx"))
modules = [Extension(f"tokenwheel._native.{p.stem}", [p.as_posix()], **settings) for p in paths]
setup(ext_modules=modules, cmdclass={"build_ext": BuildExtensions})
