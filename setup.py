"""Builds ext/*.pyx as tokenwheel._native.*, and nothing else. All settings are in pyproject.toml.

TOKENWHEEL_IMPL   pure: no extension. native: whatever stops the extensions stops the build.
                  Unset: without Cython and a C compiler, the pure implementation is installed.
TOKENWHEEL_BUILD  trace: coverage can measure the .pyx files. sanitize: for memory and UB errors.
                  fuzz: sanitize for clang, which also tells a fuzzer where it has been.
                  thread: tells of data races, under a Python that was built so, too.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

implementation, build = map(os.environ.get, ("TOKENWHEEL_IMPL", "TOKENWHEEL_BUILD"), ("", ""))
builds = ("", "trace", "sanitize", "fuzz", "thread")
if implementation not in ("", "native", "pure") or build not in builds:
    names = "TOKENWHEEL_IMPL is 'native', 'pure' or unset; TOKENWHEEL_BUILD is"
    raise SystemExit(f"tokenwheel: {names} {', '.join(map(repr, builds[1:]))} or unset")

checks = ["-fno-sanitize-recover=all", "-fsanitize=address,undefined"] * (build == "sanitize")
checks += ["-fno-sanitize-recover=all", "-fsanitize=address,fuzzer-no-link"] * (build == "fuzz")
checks += ["-fsanitize=thread"] * (build == "thread")
# A slab's memory is read as several struct types, which compilers assume never to be the same.
flags = ["-fno-strict-aliasing", *(["-O1", "-g"] if checks else ["-O3", "-g0"]), *checks]
# A compiler gets those of these that it takes. -Wp comes after what Python was built with. A libc
# that knows no level 3 of _FORTIFY_SOURCE takes it for 2.
hardened = ["-fvisibility=hidden", "-fstack-protector-strong", "-fstack-clash-protection"]
hardened += ["-fcf-protection", "-mbranch-protection=standard"]
hardened += ["-Wp,-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=3"]
hardened_links = ["-Wl,-z,relro,-z,now,-z,noexecstack", "-Wl,-bind_at_load"]
msvc, msvc_links = ["/O2", "/GS", "/guard:cf"], ["/guard:cf", "/DYNAMICBASE", "/NXCOMPAT"]
run_path = re.compile(r",--?(?:R,?|rpath(?:[=,]|\n-Wl,))[^,\n]*")
off = ["boundscheck", "wraparound", "initializedcheck", "auto_pickle", "autotestdict"]
directives = dict.fromkeys(off, False) | {"language_level": 3, "linetrace": build == "trace"}
directives |= dict.fromkeys(
    ["cdivision", "binding", "embedsignature", "freethreading_compatible"], True
)
directives["embedsignature.format"] = "python"
macros = [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1")] if build == "trace" else []


class BuildExtensions(build_ext):
    """Translates the modules in turn, as Cython's threads share state; compiles side by side."""

    def harden(self) -> None:
        """Choose the flags. No extension looks for libraries where Python's own build says."""
        if self.compiler.compiler_type == "msvc":
            links = [*msvc_links, *["/CETCOMPAT"] * (self.plat_name == "win-amd64")]
            chosen = {"extra_compile_args": msvc, "extra_link_args": links}
        else:
            os.environ.pop("LD_RUN_PATH", None)
            words = run_path.sub("", "\n".join(self.compiler.linker_so)).split("\n")
            self.compiler.linker_so = [word for word in words if word != "-Wl"]
            # A sanitizer replaces what hardening would, and cannot see beneath it.
            compiled, linked = ([], []) if checks else (hardened, hardened_links)
            chosen = {
                "extra_compile_args": [*flags, *filter(self.is_taken, compiled)],
                "extra_link_args": [*checks, *filter(self.is_taken, linked)],
            }
        for extension in self.extensions:
            vars(extension).update(chosen)

    def is_taken(self, flag: str) -> bool:
        """Return True where the compiler and its linker make a library with this flag."""
        with TemporaryDirectory() as folder:
            made = ["-fPIC", "-x", "c", os.devnull, "-o", f"{folder}/trial"]
            try:
                trial = [*self.compiler.linker_so, flag, *made]
                return subprocess.run(trial, check=False, capture_output=True).returncode == 0  # noqa: S603
            except OSError:
                return False

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
            self.harden()
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


settings = {"include_dirs": ["ext"], "define_macros": macros}
paths = () if implementation == "pure" else sorted(Path("ext").glob("*.pyx"))
modules = [Extension(f"tokenwheel._native.{p.stem}", [p.as_posix()], **settings) for p in paths]
setup(ext_modules=modules, cmdclass={"build_ext": BuildExtensions})
