"""Keys whose private part or secret is printed in a standard or on a web page: anybody has them.

Only their digests are here. A shared secret is known by the SHA-256 of its bytes, a key pair by
that of its SubjectPublicKeyInfo in DER. Those whose bytes follow a pattern, as the keys of RFC 2202
and RFC 4231 do, need no entry: ``guessable`` finds them.

Sources: RFC 7515, appendices A.1 to A.4; RFC 7516, appendices A.1 and A.2; RFC 7517, appendices A
and C; RFC 7520, sections 3 to 5; RFC 8032, section 7.1; RFC 8037, appendix A; jwt.io.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["is_published"]

# Each digest is cut to 16 bytes: enough to tell keys apart by.
_DIGESTS: Final = frozenset(
    bytes.fromhex(digest)
    for digest in (
        "c8ecc9361a05e285f04c26f9572131a6",  # RFC 7515, A.1: HMAC; RFC 7517, A.3
        "6fd13c2435a361e7c588cd17f55f5ad3",  # RFC 7515, A.2: RSA
        "2bd1bb0c44a897c30a7aa0991cde38d8",  # RFC 7515, A.3: P-256
        "9146ce73d6abeda5e0ab6926e7bd9b56",  # RFC 7515, A.4: P-521
        "bf0a7a74f9afb6edda89ebabe824241b",  # RFC 7516, A.1: RSA
        "c1de70b4f5ae92a53b86f6a7175e3b9b",  # RFC 7516, A.2: RSA
        "51b944cdfa544d4c3273aa6bf350625a",  # RFC 7517, A.2: P-256
        "ad32320cf6c596d884b05381ba573aba",  # RFC 7517, A.2: RSA
        "a4109e6bac8043ec089a57064aeb14d0",  # RFC 7517, C.1: RSA
        "c6479a15a50ac4cd9b6414e27c69bf37",  # RFC 7520, 3.2: P-521
        "627771f25da426d1f9ae315e42106d70",  # RFC 7520, 3.4: RSA
        "73ec74458059c70cae3f0ade8663fe0d",  # RFC 7520, 3.5: HMAC
        "2cd6f10056d08e10430ad5658b556505",  # RFC 7520, 3.6: AES, of 32 bytes
        "229cabb741449d91d703195d4d69814f",  # RFC 7520, 5.1: RSA
        "c8579d8d878fb8eab2a6f1e714c92118",  # RFC 7520, 5.2: RSA
        "1b50d9a1d7f6619f0362fe9382506259",  # RFC 7520, 5.4: P-384
        "eb28a65877d2b84b92a6a9b5fd762a45",  # RFC 7520, 5.5: P-256
        "dc60a5b74b5e649e5f9559b39933a55b",  # RFC 7520, 5.7: AES, of 32 bytes
        "06e3fd8fda29bb60ab59557de61edb0a",  # RFC 8032, test 1: Ed25519; RFC 8037, A.1
        "deb2ded39dc26fce0e6085b6fc34bf6b",  # RFC 8032, test 2: Ed25519
        "8d39ba50abe50f77b6bb8ae7b6927aff",  # RFC 8032, test 3: Ed25519
        "e4f982b51ad0bdd87be820b259fe8033",  # RFC 8032, test 1024: Ed25519
        "e77db4a9572e9f6552c22bc751d5499a",  # RFC 8032, test SHA(abc): Ed25519
        "465d9ad5d5528ebe287b5dce4fb51620",  # jwt.io: HMAC
        "730d21a80e61a8de82d12cb4c0b8057c",  # jwt.io: HMAC
        "db6833593279d7373592ef70e51f3daf",  # jwt.io: HMAC
        "f56c8b01227f62ddbc16eb29a6ac0b31",  # jwt.io: RSA
        "a40f0f2e2974dc76a82df6ffe08ed0d7",  # jwt.io: P-256
        "302e26c098cfde2db131e9a3b12ce4c4",  # jwt.io: P-384
        "09ab66acb0ae05afe423754c7de99b42",  # jwt.io: P-521
    )
)


def is_published(key: bytes) -> bool:
    """Return True for a key that is printed where anybody can read it.

    Args:
        key: a shared secret, or a public key as SubjectPublicKeyInfo in DER.
    """
    return hashlib.sha256(key).digest()[:16] in _DIGESTS
