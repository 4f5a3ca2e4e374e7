"""Lists the wheels that cibuildwheel would build.

It fails where the settings in pyproject.toml leave out a wheel that was promised.
"""

from __future__ import annotations

import subprocess
import sys

VERSIONS = ["cp311", "cp312", "cp313", "cp314", "cp314t", "cp315", "cp315t"]
PLATFORMS = {
    "linux": ["manylinux_x86_64", "manylinux_aarch64", "musllinux_x86_64", "musllinux_aarch64"],
    "macos": ["macosx_x86_64", "macosx_arm64"],
    "windows": ["win_amd64", "win_arm64"],
}


def main() -> int:
    good = True
    for platform, tags in PLATFORMS.items():
        command = [
            sys.executable,
            "-m",
            "cibuildwheel",
            "--platform",
            platform,
            "--print-build-identifiers",
        ]
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        promised = [f"{version}-{tag}" for version in VERSIONS for tag in tags]
        print(f"{platform}: {len(listed)} wheels: {' '.join(listed)}")
        if sorted(listed) != sorted(promised):
            differing = sorted({*listed} ^ {*promised})
            print(
                f"{platform}: these are not both promised and listed: {differing}", file=sys.stderr
            )
            good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
