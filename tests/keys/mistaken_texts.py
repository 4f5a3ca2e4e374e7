"""What people hand over instead of a key, and the end of the sentence that each is refused with."""

from __future__ import annotations

import io
import json
import re
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from tests.keys.made_keys import (
    DER,
    ED25519,
    P256,
    PASSWORD,
    PEM,
    PKCS1,
    RSA,
    TRADITIONAL,
    block,
    certificate,
    certificates,
    keystore,
    private,
    public,
    request,
)
from tests.keys.refusals import (
    BODY,
    EC_KEY,
    JWK,
    PATH,
    PLACEHOLDER,
    TEXT,
    UNSET,
)

OPENSSH = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
SSH = ED25519.private_bytes(PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
SSH_PUBLIC = RSA.public_key().public_bytes(*OPENSSH)
PUTTY = b"PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nPublic-Lines: 6\n" + b"A" * 64
PGP = (
    b"-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n"
    + b"lQOYBF" * 10
    + b"\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----\n"
)
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbm4iLCJhIjoxfQ.dBjftJeZ4CVPmB92K27uhbUJU1p1rwW1gFWFOEjXk"

CUT_OFF = (
    "is cut off: it has a line of -----BEGIN and none of -----END that belongs to it; hand over "
    "the whole text"
)
WITHOUT_LINES = (
    "is the base64 of a key without the lines around it: put -----BEGIN {0}----- before and "
    "-----END {0}----- after it"
)
FROM_SSH = (
    "is a private key of OpenSSH: `ssh-keygen -p -m pkcs8 -f FILE` rewrites a copy of the file as "
    "PEM; an Ed25519 key is read by load_ssh_private_key of cryptography, and written as PEM by "
    "its private_bytes"
)
REQUEST = (
    "is a certificate request: hand over the private key that it was made with, or its public key, "
    "which `openssl req -noout -pubkey -in FILE` writes"
)
PUBLIC_SSH = (
    "is a public key of OpenSSH: `ssh-keygen -e -m pkcs8 -f FILE` writes it as PEM; an Ed25519 key "
    "is read by load_ssh_public_key of cryptography, and written as PEM by its public_bytes"
)
KEYSTORE = (
    "is a keystore of Java: `keytool -importkeystore -srckeystore FILE -destkeystore key.p12 "
    "-deststoretype PKCS12` and `openssl pkcs12 -nodes -nocerts -in key.p12` make PEM of it"
)
XML = (
    "is a key in XML, as .NET writes it: hand it over as a JSON Web Key or as PEM, as .NET's "
    "ExportPkcs8PrivateKeyPem and ExportSubjectPublicKeyInfoPem write it"
)
LIST = 'is a list: Key.from_jwk takes one of its keys, and KeySet.from_jwks {"keys": list}'

# What is said of it wherever a key is read, be it as PEM or as JSON.
EVERYWHERE: dict[str, tuple[Any, str]] = {
    "None": (None, f"is None: {UNSET}"),
    "nothing": ("", f"is empty: {UNSET}"),
    "nothing in bytes": (b"", f"is empty: {UNSET}"),
    "blanks": (" \r\n\t", f"is empty: {UNSET}"),
    "a byte order mark alone": (b"\xef\xbb\xbf", f"is empty: {UNSET}"),
    "the word None": ("None", f"is the word for nothing: {UNSET}"),
    "the word null": ("null", f"is the word for nothing: {UNSET}"),
    "a Path": (Path("keys/private.pem"), PATH + "path.read_bytes()"),
    "a Path that is there": (Path(__file__), PATH + "path.read_bytes()"),
    "a relative path": ("keys/private.pem", PATH + "Path(path).read_bytes()"),
    "a path in bytes": (b"keys/private.pem", PATH + "Path(path).read_bytes()"),
    "a path that is there": (__file__, PATH + "Path(path).read_bytes()"),
    "a path without extension": ("/run/secrets/jwt_key", PATH + "Path(path).read_bytes()"),
    "a path with blanks": ("/My Keys/the key.pem", PATH + "Path(path).read_bytes()"),
    "a path of home": ("~/keys/private", PATH + "Path(path).read_bytes()"),
    "a path of Windows": (r"C:\keys\private.key", PATH + "Path(path).read_bytes()"),
    "a path upwards": ("../private", PATH + "Path(path).read_bytes()"),
    "a file's name": ("private.pem", PATH + "Path(path).read_bytes()"),
    "a file's URL": ("file:///etc/keys/private.pem", PATH + "Path(path).read_bytes()"),
    "an open file": (io.BytesIO(EC_KEY), "is an open file: hand over what its read() returns"),
    "a URL": (
        "https://login.example.com/.well-known/jwks.json",
        "is a URL: RemoteKeySet(url) follows the keys that are there",
    ),
    "a variable": ("${JWT_KEY}", PLACEHOLDER),
    "a variable of the shell": ("$JWT_KEY", PLACEHOLDER),
    "a template": ("{{ jwt_key }}", PLACEHOLDER),
    "repr of bytes": (
        repr(EC_KEY), ("is what repr() or str() makes of bytes: hand over the bytes, or "
        "bytes.decode()"),
    ),
    "a line of SSH": (SSH_PUBLIC, PUBLIC_SSH),
    "a line of SSH with a name": (SSH_PUBLIC.decode() + " ann@example", PUBLIC_SSH),
    "the base64 of SSH": (SSH_PUBLIC.split()[1], PUBLIC_SSH),
    "a private key of SSH": (SSH, FROM_SSH),
    "the base64 of a private key of SSH": (b"".join(SSH.splitlines()[1:-1]), FROM_SSH),
    "a key of PuTTY": (
        PUTTY,
        "is a key of PuTTY: `puttygen FILE -O private-openssh -o key.pem` writes it as PEM",
    ),
    "a key of PGP": (
        PGP,
        "is a key or a message of PGP, which is for no tokens: `tokenwheel keys new` makes one",
    ),
    "a keystore of Java": (b"\xfe\xed\xfe\xed\0\0\0\2\0\0\0\1" + b"a" * 40, KEYSTORE),
    "a keystore of JCE": (b"\xce\xce\xce\xce\0\0\0\2\0\0\0\1" + b"a" * 40, KEYSTORE),
    "a certificate request": (request(P256), REQUEST),
    "a PKCS #7 file in PEM": (
        certificates(P256),
        "is a PKCS #7 file: `openssl pkcs7 -print_certs -in FILE` writes its certificates",
    ),
    "a trusted certificate": (
        block("TRUSTED CERTIFICATE", certificate(P256, encoding=DER)),
        "is a certificate with what it is trusted for: `openssl x509 -in FILE` writes it alone",
    ),
    "a revocation list": (
        block("X509 CRL", b"a" * 40),
        "is a list of revoked certificates: hand over a key, or the certificate of one",
    ),
    "parameters": (
        block("EC PARAMETERS", b"a" * 40),
        "has the parameters of a key, and no key: hand over the file of the key",
    ),
    "a base64 of a PKCS #12 file": (
        b64encode(keystore(P256)), ("is the base64 of a PKCS #12 file: `base64 -d` and `openssl "
        "pkcs12 -nodes -nocerts -in FILE` make PEM of it"),
    ),
    "a token": (TOKEN, "is a token, not a key: `tokenwheel keys new` makes one"),
    "XML": (f"<RSAKeyValue><Modulus>{BODY}</Modulus></RSAKeyValue>", XML),
    "XML with its head": (f'<?xml version="1.0"?>\n<RSAKeyValue><D>{BODY}</D>', XML),
    "HTML": (
        "<!doctype html><title>502 Bad Gateway</title>",
        "is HTML or XML, as a page that says an error: hand over a key's text",
    ),
    "YAML": ("kty: EC\ncrv: P-256\n", "is YAML: hand over the value of its member"),
    "a secret of age": (
        "AGE-SECRET-KEY-1" + "Q" * 40,
        "is a secret of age or of Ansible, not a key: hand over the text that was encrypted",
    ),
    "JSON within JSON": (
        json.dumps(json.dumps(JWK)), "is a JSON text within quotes: hand over json.loads(text)",
    ),
}  # fmt: skip
OF_DER = {
    "a private key in DER": (private(RSA, encoding=DER), "openssl pkey -inform DER"),
    "a PKCS #1 key in DER": (private(RSA, TRADITIONAL, encoding=DER), "openssl pkey -inform DER"),
    "a SEC 1 key in DER": (private(P256, TRADITIONAL, encoding=DER), "openssl pkey -inform DER"),
    "an encrypted private key in DER": (
        private(P256, password=PASSWORD, encoding=DER), "openssl pkcs8 -inform DER"),
    "a public key in DER": (public(P256, encoding=DER), "openssl pkey -pubin -inform DER"),
    "a PKCS #1 public key in DER": (
        public(RSA, PKCS1, DER), "openssl rsa -RSAPublicKey_in -pubout -inform DER"),
    "a certificate in DER": (certificate(P256, encoding=DER), "openssl x509 -inform DER"),
    "a certificate request in DER": (
        request(P256, DER), "openssl req -inform DER -noout -pubkey"),
    "a PKCS #12 file": (keystore(P256), "openssl pkcs12 -nodes -nocerts"),
    "a PKCS #7 file": (certificates(P256, DER), "openssl pkcs7 -inform DER -print_certs"),
}  # fmt: skip

WANTING_PEM: dict[str, tuple[Any, str]] = {
    **EVERYWHERE,
    r"\n as two characters": (
        TEXT.replace("\n", "\\n"),
        r'has \n as two characters where its lines end: pem.replace("\\n", "\n")',
    ),
    r"\r\n as four characters": (
        TEXT.replace("\n", "\\r\\n"),
        r'has \r\n as four characters where its lines end: pem.replace("\\r\\n", "\n")',
    ),
    "quotes around it": (
        f'"{TEXT}"', "has quotes around it: leave them out, or pem.strip(\"'\\\"\") takes them off",
    ),
    "single quotes around it": (
        f"'{TEXT.strip()}'",
        "has quotes around it: leave them out, or pem.strip(\"'\\\"\") takes them off",
    ),
    "no line breaks": (
        TEXT.replace("\n", ""),
        ("has lost its line breaks: hand over Path(path).read_bytes(), or keep its base64 in the "
        "variable and hand over b64decode(variable)"),
    ),
    "blanks for line breaks": (
        TEXT.replace("\n", " "),
        ("has lost its line breaks: hand over Path(path).read_bytes(), or keep its base64 in the "
        "variable and hand over b64decode(variable)"),
    ),
    "base64 of PEM": (
        b64encode(EC_KEY), "is the base64 of a PEM text: hand over b64decode(text)",
    ),
    "base64 of PEM in lines": (
        "\n".join(re.findall(".{1,76}", b64encode(EC_KEY).decode())),
        "is the base64 of a PEM text: hand over b64decode(text)",
    ),
    "the body alone": (BODY, WITHOUT_LINES.format("PRIVATE KEY")),
    "the body in its lines": (
        "\n".join(TEXT.splitlines()[1:-1]), WITHOUT_LINES.format("PRIVATE KEY"),
    ),
    "the body of a public key": (
        b64encode(public(RSA, encoding=DER)), WITHOUT_LINES.format("PUBLIC KEY"),
    ),
    "the body of a certificate": (
        b64encode(certificate(P256, encoding=DER)), WITHOUT_LINES.format("CERTIFICATE"),
    ),
    "cut off": (TEXT[:-40], CUT_OFF),
    "cut off after its first line": (TEXT.splitlines()[0], CUT_OFF),
    "cut off at its beginning": (
        "\n".join(TEXT.splitlines()[1:]),
        "is cut off: it has a line of -----END and none of -----BEGIN; hand over the whole text",
    ),
    "something in its first line": (
        "key=" + TEXT,
        "has other text in its line of -----BEGIN: that must stand on a line of its own",
    ),
    "dashes of a word processor": (
        TEXT.replace("-----", "\u2013\u2013"),
        "has other dashes than the five of -----BEGIN: hand over the file as it was",
    ),
    "no dashes": (
        TEXT.replace("-----", ""),
        "has other dashes than the five of -----BEGIN: hand over the file as it was",
    ),
    "a key of SSH as RFC 4716 has it": (
        '---- BEGIN SSH2 PUBLIC KEY ----\nComment: "a"\nAAAA\n---- END SSH2 PUBLIC KEY ----\n',
        ("is a public key of SSH: `ssh-keygen -i -f FILE > key.pub` and `ssh-keygen -e -m pkcs8 "
        "-f key.pub` make PEM of it"),
    ),
    "the base64 of base64": (
        b64encode(b64encode(TEXT.encode())),
        "is a PEM text that is in base64 twice: hand over b64decode(b64decode(text))",
    ),
    "parameters of DH": (
        block("X9.42 DH PARAMETERS", b"a" * 40),
        "has the parameters of a key, and no key: hand over the file of the key",
    ),
    "certificates by their kid": (
        json.dumps({"a": TEXT, "b": TEXT}),
        "is JSON that has PEM texts in it: hand over one of them, as json.loads(text)[its name]",
    ),
    "keys as Vault tells them": (
        json.dumps({"data": {"keys": {"1": {"public_key": TEXT}}}}),
        "is JSON that has PEM texts in it: hand over one of them, as json.loads(text)[its name]",
    ),
    "another block": (
        block("SECRET", b"a" * 40),
        ("has a block of another kind than PRIVATE KEY, PUBLIC KEY and CERTIFICATE: hand over the "
        "blocks of these alone"),
    ),
    "a JWK": (json.dumps(JWK), "is a JSON Web Key: Key.from_jwk takes it"),
    "a JWK as a dict": (JWK, "must be str or bytes, not dict: Key.from_jwk takes a JSON Web Key"),
    "the base64 of a JWK": (
        b64encode(json.dumps(JWK).encode()),
        "is the base64 of a JSON object: Key.from_jwk takes b64decode(text)",
    ),
    "a JWKS": (
        json.dumps({"keys": [JWK]}), "is a JSON Web Key Set: KeySet.from_jwks takes it",
    ),
    "a service account": (
        json.dumps({"type": "service_account", "private_key": TEXT}),
        'is JSON that has a PEM text in it: hand over json.loads(text)["private_key"]',
    ),
    "JSON": ("{}", "is JSON, and no key that is known"),
    "a number": (7, "must be str or bytes, not int"),
    "a bytearray": (
        bytearray(EC_KEY), "must be str or bytes, not bytearray: hand over bytes(value)",
    ),
    "something else": (
        "hello",
        ("is no PEM text: it has no line of -----BEGIN PRIVATE KEY-----, -----BEGIN PUBLIC "
        "KEY----- or -----BEGIN CERTIFICATE-----"),
    ),
}  # fmt: skip
WANTING_JSON: dict[str, tuple[Any, str]] = {
    **EVERYWHERE,
    "PEM": (TEXT, "is a PEM text: Key.from_pem(text, algorithm) takes it"),
    "a certificate": (certificate(P256), "is a PEM text: Key.from_pem(text, algorithm) takes it"),
    "PEM on one line": (
        TEXT.replace("\n", "\\n"), "is a PEM text: Key.from_pem(text, algorithm) takes it",
    ),
    "base64 of PEM": (
        b64encode(EC_KEY),
        "is the base64 of a PEM text: hand over b64decode(text) to Key.from_pem",
    ),
    "the body of a public key": (
        b64encode(public(RSA, encoding=DER)),
        WITHOUT_LINES.format("PUBLIC KEY") + ", and Key.from_pem takes it",
    ),
    "the base64 of a JWK": (
        urlsafe_b64encode(json.dumps(JWK).encode()),
        "is the base64 of a JSON object: hand over b64decode(text)",
    ),
    "repr of a dict": (
        repr(JWK),
        "is what repr() or str() makes of a dict: hand over the dict, or json.dumps(dict)",
    ),
    "broken JSON": (
        json.dumps(JWK, indent=1)[:-3], "is broken JSON at line 9, column 9: hand over all of it",
    ),
    "octets that are no text": (
        json.dumps(JWK).encode()[:-2] + b'\xff"}',
        "is broken JSON: it is no text in UTF-8, or has a number that is too long",
    ),
    "a list": (json.dumps([JWK]), LIST),
    "a list of dicts": ([JWK], LIST),
    "nested": ("[" * 100_000, "is nested deeper than any key: hand over one JSON object"),
    "a JSON text": ('"text"', "is a JSON text within a JSON text: hand over json.loads(text)"),
    "a number": (7, "must be a JSON object, as a mapping or as its text, not int"),
    "something else": ("hello", "must be a JSON object, as a mapping or as its text"),
}  # fmt: skip
