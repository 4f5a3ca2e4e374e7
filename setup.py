"""Builds ext/*.pyx as tokenwheel._native.*, and nothing else: metadata and every tool's settings live in pyproject.toml.

TOKENWHEEL_IMPL  pure: no extension at all, a wheel for every platform. native: whatever stops the extensions stops the build.
                 Unset: without a working Cython and C compiler, one line says that the pure implementation is what gets installed.
TOKENWHEEL_BUILD trace: coverage can measure the .pyx files. sanitize: with AddressSanitizer and UndefinedBehaviorSanitizer.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

implementation, build = (
    os.environ.get("TOKENWHEEL_IMPL", ""),
    os.environ.get("TOKENWHEEL_BUILD", ""),
)
if implementation not in ("", "native", "pure") or build not in ("", "trace", "sanitize"):
    raise SystemExit(
        "tokenwheel: TOKENWHEEL_IMPL is 'native', 'pure' or unset; TOKENWHEEL_BUILD is 'trace', 'sanitize' or unset"
    )

sanitizers = (
    ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"] if build == "sanitize" else []
)
# One piece of a slab's memory is read as several struct types, which compilers may assume never to be the same unless told.
gcc_flags = [
    "-fno-strict-aliasing",
    *(["-O1", "-g", *sanitizers] if sanitizers else ["-O3", "-g0"]),
]
compile_flags = ["/O2"] if sys.platform == "win32" else gcc_flags
directives = dict.fromkeys(
    ["boundscheck", "wraparound", "initializedcheck", "auto_pickle", "autotestdict"], False
)
directives |= {
    "cdivision": True,
    "binding": True,
    "embedsignature": True,
    "embedsignature.format": "python",
}
directives |= {"language_level": 3, "linetrace": build == "trace"}


class BuildExtensions(build_ext):
    """Translates one module after the other, since Cython shares state between threads, and compiles them side by side."""

    def build_extensions(self) -> None:
        self.parallel = self.parallel or os.cpu_count()
        try:
            from Cython.Build import cythonize

            # A traced module's C stays beside its source, where coverage looks for it.
            options = {
                "build_dir": None if build == "trace" else self.build_temp,
                "force": self.force,
                "include_path": ["ext"],
            }
            translated = cythonize(self.extensions, compiler_directives=directives, **options)
            for extension, in_c in zip(self.extensions, translated, strict=True):
                extension.sources = in_c.sources
            super().build_extensions()
        except (ImportError, BaseError, CCompilerError) as error:
            if implementation == "native":
                raise
            for (
                extension
            ) in self.extensions:  # Half an implementation would be worse than the pure one.
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions = []
            print(
                f"tokenwheel: installing the pure-Python implementation, as the extensions could not be built: {error}",
                file=sys.stderr,
            )


def extension(source: Path) -> Extension:
    macros = [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if build == "trace" else []
    flags = {"extra_compile_args": compile_flags, "extra_link_args": sanitizers}
    return Extension(
        f"tokenwheel._native.{source.stem}",
        [source.as_posix()],
        include_dirs=["ext"],
        define_macros=macros,
        **flags,
    )


sources = () if implementation == "pure" else sorted(Path("ext").glob("*.pyx"))
setup(ext_modules=[*map(extension, sources)], cmdclass={"build_ext": BuildExtensions})
