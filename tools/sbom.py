"""Put a software bill of materials (SBOM) into wheels: CycloneDX 1.7, where PEP 770 looks for it.

``python tools/sbom.py FOLDER`` does so for each wheel in the folder; ``FOLDER WHEEL`` copies that
wheel there first. It runs after auditwheel and delocate, which may change an extension, and needs
the standard library alone, as it runs in cibuildwheel's containers.

The SBOM names each library in the wheel, with its hash: the extension modules, and what auditwheel
or delocate would bundle. It says that this list is complete. What pip installs beside the wheel is
marked as external, with the versions that will do; extras are not named. It holds no clock and no
random number: the same wheel always gets the same SBOM.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
import shutil
import sys
import uuid
import zipfile
from email.parser import HeaderParser
from pathlib import Path
from typing import Any

LICENSES = {
    "cryptography": "Apache-2.0 OR BSD-3-Clause",
    "msgspec": "BSD-3-Clause",
    "pyjwt": "MIT",
}
"""The SPDX expression of each dependency, by the name in its package URL."""
LIBRARY = re.compile(r"\.(?:so|pyd|dylib|dll)(?:\.|$)")
REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)\s*([<>=!~][^;]*)?$")


def describe_dependency(requirement: str) -> dict[str, Any]:
    """Return the component for a requirement such as ``PyJWT>=2.13.0``."""
    match = REQUIREMENT.match(requirement.strip())
    if match is None:
        raise SystemExit(f"sbom: {requirement!r} is more than a name and versions")
    name, versions = match[1], match[2] or "*"
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key not in LICENSES:
        raise SystemExit(f"sbom: tools/sbom.py has no license for {name}")
    return {
        "type": "library",
        "bom-ref": f"pkg:pypi/{key}",
        "name": name,
        "versionRange": f"vers:pypi/{'|'.join(part.strip() for part in versions.split(','))}",
        "isExternal": True,
        "licenses": [{"expression": LICENSES[key]}],
        "purl": f"pkg:pypi/{key}",
    }


def describe_wheel(contents: dict[str, bytes]) -> dict[str, Any]:
    """Return the SBOM of a wheel, given the contents of its files by name."""
    (metadata,) = (name for name in contents if name.endswith(".dist-info/METADATA"))
    headers = HeaderParser().parsestr(contents[metadata].decode())
    name, version = headers["Name"], headers["Version"]
    reference = f"pkg:pypi/{name}@{version}"
    required = [text for text in headers.get_all("Requires-Dist", []) if "extra ==" not in text]
    dependencies = [describe_dependency(requirement) for requirement in required]
    extensions = [
        {
            "type": "file",
            "bom-ref": path,
            "name": path,
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(contents[path]).hexdigest()}],
        }
        for path in sorted(contents)
        if LIBRARY.search(path)
    ]
    product = {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "licenses": [{"expression": headers["License-Expression"]}],
        "purl": reference,
    }
    everything = json.dumps([product, extensions, dependencies], sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.7.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.7",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, everything).urn,
        "version": 1,
        "metadata": {"component": {**product, "components": extensions}},
        "components": dependencies,
        "dependencies": [
            {"ref": reference, "dependsOn": [part["bom-ref"] for part in dependencies]}
        ],
        "compositions": [{"aggregate": "complete", "assemblies": [reference]}],
    }


def record_line(name: str, content: bytes) -> list[str]:
    """Return the line of RECORD for a file (PEP 376 and PEP 427)."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return [name, f"sha256={digest}", str(len(content))]


def add_sbom(wheel: Path) -> str:
    """Put the SBOM into a wheel, and into its RECORD. Return the SBOM's name in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        contents = {entry.filename: archive.read(entry) for entry in entries}
    (record,) = (name for name in contents if name.endswith(".dist-info/RECORD"))
    folder = record.rpartition("/")[0]
    name = f"{folder}/sboms/{folder.partition('-')[0]}.cdx.json"
    if name in contents:
        raise SystemExit(f"sbom: {wheel.name} has one already")
    sbom = json.dumps(describe_wheel(contents), indent=2).encode() + b"\n"
    lines = list(csv.reader(io.StringIO(contents[record].decode())))
    # RECORD comes last, and so does its own line, as in what setuptools writes.
    lines.insert(len(lines) - 1, record_line(name, sbom))
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    last = next(entry for entry in entries if entry.filename == record)
    entries.remove(last)
    added = zipfile.ZipInfo(name, last.date_time)
    added.compress_type, added.external_attr = zipfile.ZIP_DEFLATED, last.external_attr
    contents |= {name: sbom, record: text.getvalue().encode()}
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in [*entries, added, last]:
            archive.writestr(entry, contents[entry.filename])
    return name


def main(arguments: list[str]) -> None:
    """Add the SBOM to each wheel of a folder."""
    folder = Path(arguments[0])
    for wheel in map(Path, arguments[1:]):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(wheel, folder)
    for wheel in sorted(folder.glob("*.whl")):
        print(f"{wheel.name}: {add_sbom(wheel)}")


if __name__ == "__main__":
    main(sys.argv[1:])
