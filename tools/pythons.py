"""Run the suite on every CPython that the project supports; `make test-pythons` runs it.

Arguments that start with a dash go to pytest. Others are the versions to run, such as 3.15.

An interpreter is taken from PATH or from pyenv. Versions that are not there come from Debian, if
this machine runs Debian, the user is root, and debootstrap is installed: `sid` and `experimental`
are unpacked into a folder below build/, by the mirror that apt uses here. The suite then runs
inside that folder (chroot), in a mount namespace of its own, so that nothing stays mounted.
Nothing outside build/ is changed.

Each interpreter gets a fresh copy of the work tree and an environment of its own, with the versions
of requirements.lock. The last lines say what passed, what failed, and what was left out and why.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.bench_check import copy_working_tree
from tools.interpreters import find_interpreters

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ROOT / "build" / "pythons"
DEBIAN = PYTHONS / "debian"

CLASSIFIER = r'"Programming Language :: Python :: (3\.\d+)"'
SUITES = {"3.14": "sid", "3.15": "experimental"}
# An unpacked Debian reaches the network and trusts certificates as this machine does.
NETWORK = ["etc/hosts", "etc/pip.conf", "etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt"]
# A mirror may be a snapshot, whose lists are older than apt takes for valid.
APT = ["apt-get", "-q", "-y", "--no-install-recommends", "-o", "Acquire::Check-Valid-Until=false"]

ENTER = """
mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"
"""
RUN_SUITE = """
set -eu
cd "$1"
"$2" -m venv --clear environment
shift 2
environment/bin/python -m pip install -q --upgrade "pip>=26.2"
environment/bin/python -m pip install -q --no-require-hashes -c requirements.lock --group servers .
exec environment/bin/python -m pytest "$@"
"""


def supported_versions() -> list[str]:
    """Return the versions of Python that pyproject.toml says are supported."""
    return re.findall(CLASSIFIER, (ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def enter_debian(*command: str) -> list[str]:
    """Return the command that runs this one inside the unpacked Debian."""
    apart = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    return [*apart, "sh", "-c", ENTER, str(DEBIAN), *command]


def why_no_debian() -> str | None:
    """Return the reason why Debian can't be unpacked here, None where it can."""
    if sys.platform != "linux" or not Path("/etc/debian_version").exists():
        return "this is no Debian"
    if os.geteuid() != 0:
        return "only root can unpack Debian"
    if shutil.which("debootstrap") is None:
        return "debootstrap is not installed (apt-get install debootstrap)"
    return None


def find_mirror() -> str:
    """Return the address from which this machine's apt takes Debian."""
    filters = ["Created-By: Packages", "Origin: Debian", "Label: Debian"]
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", *filters]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    if not listed:
        raise SystemExit("apt has no lists of Debian's packages: apt-get update")
    return listed[0]


def unpack_debian() -> None:
    """Unpack Debian `sid`, with what building and testing takes, once; `experimental` is named."""
    if DEBIAN.exists():
        return
    mirror, partial = find_mirror(), PYTHONS / "debian.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    packages = "ca-certificates,gcc,git,libc6-dev"
    debootstrap = ["debootstrap", "--variant=minbase", f"--include={packages}", "sid"]
    subprocess.run([*debootstrap, partial, mirror], check=True, stdout=subprocess.DEVNULL)
    source = partial / "etc/apt/sources.list.d/experimental.list"
    source.write_text(f"deb {mirror} experimental main\n", encoding="utf-8")
    for name in NETWORK:
        if Path("/", name).exists():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path("/", name), partial / name)
    partial.rename(DEBIAN)


def install_in_debian(version: str) -> None:
    """Install one Python and its headers, from the suite that has it."""
    if (DEBIAN / "usr/bin" / f"python{version}-config").exists():
        return
    packages = [f"python{version}-venv", f"python{version}-dev"]
    for command in (["update"], ["install", "-t", SUITES[version], *packages]):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        entered = enter_debian(*APT, *command)
        subprocess.run(entered, check=True, env=environment, stdout=subprocess.DEVNULL)


def run_suite(version: str, python: Path | None, options: Sequence[str]) -> bool:
    """Run the suite on a Python of this machine, or on Debian's. Return whether it passed."""
    folder = (DEBIAN / "suites" if python is None else PYTHONS) / version
    shutil.rmtree(folder, ignore_errors=True)
    copy_working_tree(folder)
    script = ["sh", "-c", RUN_SUITE, "suite"]
    if python is None:
        command = enter_debian(*script, f"/suites/{version}", f"python{version}", *options)
    else:
        command = [*script, str(folder), str(python), *options]
    # Without a compiler an install is a pure one, unless the compiled one is asked for by name.
    environment = {"TOKENWHEEL_IMPL": "native", **os.environ}
    return subprocess.run(command, check=False, env=environment).returncode == 0


def main(arguments: Sequence[str]) -> int:
    """Run the suite on each version named. Return 1 where one failed, or none was found."""
    options = [argument for argument in arguments if argument.startswith("-")]
    versions = [argument for argument in arguments if argument not in options]
    paths = {interpreter.version: interpreter.path for interpreter in find_interpreters()}
    passed: list[str] = []
    failed: list[str] = []
    left_out: list[str] = []
    for version in versions or supported_versions():
        python = paths.get(version)
        if python is None:
            reason = why_no_debian() if version in SUITES else "no such command, and not in Debian"
            if reason is not None:
                left_out.append(f"{version} ({reason})")
                continue
            unpack_debian()
            install_in_debian(version)
        print(f"== Python {version}: {python or f'Debian {SUITES[version]}'}", flush=True)
        (passed if run_suite(version, python, options) else failed).append(version)
    print(f"== passed on {', '.join(passed) or 'none'}")
    if failed:
        print(f"== failed on {', '.join(failed)}")
    if left_out:
        print(f"== left out: {'; '.join(left_out)}")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
