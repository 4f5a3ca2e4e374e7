"""What a text may be that was handed in as a key and is none, and what a message says of it.

Each table is looked through from its first line on, and the first form that fits is said. Every
pattern takes a time in proportion to the text at most.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

__all__ = [
    "FROM_OPENSSH",
    "INSTEAD_OF_JSON",
    "INSTEAD_OF_PEM",
    "INSTEAD_OF_SECRET",
    "IS_PATH",
    "OF_LABELS",
    "PLACES",
    "PUBLIC_OF_OPENSSH",
    "UNSET",
    "TextForm",
]

_NEW_KEY: Final = "`tokenwheel keys new` makes one"
IS_PATH: Final = "is a path, not the text of a key: KeyFile(path) follows the file, or hand over"
FROM_OPENSSH: Final = (
    "`ssh-keygen -p -m pkcs8 -f FILE` rewrites a copy of the file as PEM; an Ed25519 key is read "
    "by load_ssh_private_key of cryptography, and written as PEM by its private_bytes"
)
PUBLIC_OF_OPENSSH: Final = (
    "`ssh-keygen -e -m pkcs8 -f FILE` writes it as PEM; an Ed25519 key is read by "
    "load_ssh_public_key of cryptography, and written as PEM by its public_bytes"
)
UNSET: Final = "set the environment variable, or write the file, that it comes from"


class TextForm(NamedTuple):
    """What a text may be that was wanted to be another."""

    looks: Callable[[bytes], object]
    """Return something true where a text is of this form, without blanks around it."""
    says: str
    """What a message says of it, after its name."""


def _starts(*beginnings: bytes) -> Callable[[bytes], object]:
    return lambda text: text.startswith(beginnings)


def _matches(pattern: bytes) -> Callable[[bytes], object]:
    return re.compile(pattern).match


def _has_all(*parts: bytes) -> Callable[[bytes], object]:
    return lambda text: all(part in text for part in parts)


def _is_on_one_line(text: bytes) -> bool:
    return b"-----BEGIN " in text and b"-----END " in text and len(text.splitlines()) == 1


def _is_path(text: bytes) -> bool:
    """Return True for one short line that leads to a file, or has the name of one of keys."""
    if len(text) > _LONGEST_PATH or not text.decode("utf-8", "replace").isprintable():
        return False
    if _PATH_MARK.match(text):
        return True
    return _SEPARATOR.search(text) is not None and _COMPACT.fullmatch(text) is None


_LONGEST_PATH = 4096  # bytes, as Linux has it
_PATH_MARK = re.compile(
    rb"~|\.{1,2}[/\\]|[A-Za-z]:[/\\]|file:"
    rb"|.{1,4090}\.(?i:pem|key|jwks?|json|cert?|crt|der|p8|p12|pfx|pub|txt|ya?ml|jks)\Z"
)
_SEPARATOR = re.compile(rb"[/\\]")
# What may be base64 as well.
_COMPACT = re.compile(rb"(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])(?=[^0-9]*[0-9])[A-Za-z0-9+/]{40,}={0,2}")
_SSH = _matches(rb"(?:ssh-|ecdsa-sha2-|sk-ssh-|sk-ecdsa-)[a-z0-9@.-]{1,64}[ \t]")
_TOKEN = _matches(rb"eyJ[\w-]{1,8192}\.[\w-]{1,65000}\.[\w-]{0,8192}\Z")

# Whatever was wanted. The first that fits is said.
_ANYWHERE: Final = (
    TextForm(lambda text: not text, f"is empty: {UNSET}"),
    TextForm(_matches(rb"\A(?:None|null|undefined)\Z"), f"is the word for nothing: {UNSET}"),
    TextForm(
        _matches(
            rb"\$\{\w{1,255}(?::?[-?]\w{0,255})?\}\Z|\$[A-Z_][A-Z0-9_]{0,255}\Z"
            rb"|\$\([\w ./-]{1,255}\)\Z|\{\{[\w .]{1,255}\}\}\Z|<%[\w =.]{1,255}%>\Z"
        ),
        "is a placeholder that nothing was put in for: hand over the text of the key itself",
    ),
    TextForm(
        _matches(rb"b(?:'|\")"),
        "is what repr() or str() makes of bytes: hand over the bytes, or bytes.decode()",
    ),
)
_NESTED_JSON: Final = TextForm(
    _matches(rb"[\"']\s{0,64}\{[\s\\]{0,64}[\"']"),
    "is a JSON text within quotes: hand over json.loads(text)",
)
_IN_SSH2: Final = TextForm(
    _has_all(b"---- BEGIN SSH2 "),
    "is a public key of SSH: `ssh-keygen -i -f FILE > key.pub` and `ssh-keygen -e -m pkcs8 -f "
    "key.pub` make PEM of it",
)
_OF_PEM: Final = (
    TextForm(
        _has_all(b"-----BEGIN ", b"\\r\\n"),
        r"""has \r\n as four characters where its lines end: pem.replace("\\r\\n", "\n")""",
    ),
    TextForm(
        _has_all(b"-----BEGIN ", b"\\n"),
        r"""has \n as two characters where its lines end: pem.replace("\\n", "\n")""",
    ),
    TextForm(
        _matches(rb"[\"'`]{1,3}-----BEGIN "),
        'has quotes around it: leave them out, or pem.strip("\'\\"") takes them off',
    ),
    TextForm(
        _is_on_one_line,
        "has lost its line breaks: hand over Path(path).read_bytes(), or keep its base64 in the "
        "variable and hand over b64decode(variable)",
    ),
    TextForm(
        _has_all(b"-----BEGIN "),
        "has other text in its line of -----BEGIN: that must stand on a line of its own",
    ),
    _IN_SSH2,
    TextForm(
        _matches(rb"[^A-Za-z]{0,256}BEGIN [A-Z0-9 ]{0,64}(?:KEY|CERTIFICATE)"),
        "has other dashes than the five of -----BEGIN: hand over the file as it was",
    ),
    TextForm(
        _has_all(b"-----END "),
        "is cut off: it has a line of -----END and none of -----BEGIN; hand over the whole text",
    ),
)
_OF_PEM_ELSEWHERE: Final = (
    TextForm(_has_all(b"-----BEGIN "), "is a PEM text: Key.from_pem(text, algorithm) takes it"),
)
_OF_KEYS: Final = (
    _IN_SSH2,
    TextForm(_SSH, f"is a public key of OpenSSH: {PUBLIC_OF_OPENSSH}"),
    TextForm(_starts(b"openssh-key-v1"), f"is a private key of OpenSSH: {FROM_OPENSSH}"),
    TextForm(
        _starts(b"PuTTY-User-Key-File"),
        "is a key of PuTTY: `puttygen FILE -O private-openssh -o key.pem` writes it as PEM",
    ),
    TextForm(
        _starts(b"\xfe\xed\xfe\xed", b"\xce\xce\xce\xce"),
        "is a keystore of Java: `keytool -importkeystore -srckeystore FILE -destkeystore key.p12 "
        "-deststoretype PKCS12` and `openssl pkcs12 -nodes -nocerts -in key.p12` make PEM of it",
    ),
    TextForm(
        _starts(b"AGE-SECRET-KEY-", b"age-encryption.org", b"$ANSIBLE_VAULT"),
        "is a secret of age or of Ansible, not a key: hand over the text that was encrypted",
    ),
    TextForm(
        _matches(rb"https?://"), "is a URL: RemoteKeySet(url) follows the keys that are there"
    ),
    TextForm(_TOKEN, f"is a token, not a key: {_NEW_KEY}"),
    TextForm(
        _matches(rb"<(?:\?xml[^>]{0,256}>\s{0,64}<)?(?:\w{1,32}:)?\w{0,32}KeyValue"),
        "is a key in XML, as .NET writes it: hand it over as a JSON Web Key or as PEM, as .NET's "
        "ExportPkcs8PrivateKeyPem and ExportSubjectPublicKeyInfoPem write it",
    ),
    TextForm(_starts(b"<"), "is HTML or XML, as a page that says an error: hand over a key's text"),
)
_NAME_OF_SET = re.compile(rb"[\"']keys[\"']\s{0,64}:\s{0,64}\[")
_OF_JSON: Final = (
    TextForm(
        lambda text: text.startswith(b"{") and _NAME_OF_SET.search(text),
        "is a JSON Web Key Set: KeySet.from_jwks takes it",
    ),
    TextForm(
        _has_all(b'"private_key"', b"-----BEGIN "),
        'is JSON that has a PEM text in it: hand over json.loads(text)["private_key"]',
    ),
    TextForm(
        lambda text: text.startswith((b"{", b"[")) and b"kty" in text,
        "is a JSON Web Key: Key.from_jwk takes it",
    ),
    TextForm(
        lambda text: text.startswith((b"{", b"[")) and b"-----BEGIN " in text,
        "is JSON that has PEM texts in it: hand over one of them, as json.loads(text)[its name]",
    ),
    TextForm(_starts(b"{", b"["), "is JSON, and no key that is known"),
)
PLACES: Final = (
    TextForm(_is_path, f"{IS_PATH} Path(path).read_bytes()"),
    TextForm(_matches(rb"---\s|[\w-]{1,64}:\s"), "is YAML: hand over the value of its member"),
)


# In a shared secret, which may be in any spelling of random bytes: no such text of 32 letters and
# more has these letters alone, but for less than one in a billion.
_PLACE_OF_SECRET = re.compile(
    rb"(?:~|\.\.?)?/[a-z0-9_./-]{1,4096}\Z|[A-Za-z]:[/\\][\w./\\ -]{1,4096}\Z|file:[/\\]{1,3}\w"
    rb"|(?:[a-z0-9_./\\~-]{1,4090}|[\w./\\~-]{1,27})"  # the latter are too short for a secret
    rb"\.(?:pem|key|jwks?|json|cert?|crt|der|p8|p12|pfx|pub|txt|ya?ml|jks)\Z"
)
INSTEAD_OF_SECRET: Final = (
    *_ANYWHERE[:-1],
    TextForm(
        _matches(rb"(?i:https?)://[\w.\[:-]"),
        "is a URL, which is no secret: RemoteKeySet(url) follows the keys that are there",
    ),
    TextForm(
        _PLACE_OF_SECRET.match,
        f"{IS_PATH} Path(path).read_bytes()",
    ),
)
INSTEAD_OF_PEM: Final = (*_ANYWHERE, _NESTED_JSON, *_OF_JSON, *_OF_PEM, *_OF_KEYS)
INSTEAD_OF_JSON: Final = (*_ANYWHERE, _NESTED_JSON, *_OF_PEM_ELSEWHERE, *_OF_KEYS)

_REQUEST = (
    "is a certificate request: hand over the private key that it was made with, or its public key, "
    "which `openssl req -noout -pubkey -in FILE` writes"
)
OF_LABELS: Final = (
    ("OPENSSH PRIVATE KEY", f"is a private key of OpenSSH: {FROM_OPENSSH}"),
    ("CERTIFICATE REQUEST", _REQUEST),
    (
        "TRUSTED CERTIFICATE",
        "is a certificate with what it is trusted for: `openssl x509 -in FILE` writes it alone",
    ),
    ("PKCS7", "is a PKCS #7 file: `openssl pkcs7 -print_certs -in FILE` writes its certificates"),
    ("CMS", "is a PKCS #7 file: `openssl pkcs7 -print_certs -in FILE` writes its certificates"),
    ("PGP ", f"is a key or a message of PGP, which is for no tokens: {_NEW_KEY}"),
    ("X509 CRL", "is a list of revoked certificates: hand over a key, or the certificate of one"),
    (" PARAMETERS", "has the parameters of a key, and no key: hand over the file of the key"),
    ("SSH2 ", "is a public key of SSH: `ssh-keygen -e -m pkcs8 -f FILE` writes it as PEM"),
)
"""By a part of what stands in the line of BEGIN."""
