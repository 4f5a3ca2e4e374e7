"""What the tests of refused keys share: keys of a stranger, and what must not be seen of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.keys.made_keys import P256, PASSWORD, RSA, private
from tests.security.exposure import Secrets, exposed_by
from tests.support import secret_of
from tokenwheel import ConfigurationError, Key

EC_KEY = private(P256)
TEXT = EC_KEY.decode()
BODY = "".join(TEXT.splitlines()[1:-1])
JWK = Key.from_pem(EC_KEY, "ES256", kid="ec").to_jwk(private=True)
SHARED = Key.from_secret(secret_of("shared"), kid="shared").to_jwk(private=True)
RSA_JWK = Key.from_pem(private(RSA), "RS256", kid="rsa").to_jwk(private=True)

UNSET = "set the environment variable, or write the file, that it comes from"
PATH = "is a path, not the text of a key: KeyFile(path) follows the file, or hand over "
PLACEHOLDER = "is a placeholder that nothing was put in for: hand over the text of the key itself"


def telling(given_value: Any) -> Secrets:
    """Return what must not be seen of what was handed in: its octets and its longer words."""
    secrets = Secrets(JWK["d"], PASSWORD, SHARED["k"], RSA_JWK["d"], RSA_JWK["p"], BODY)
    if isinstance(given_value, str | bytes):
        text = given_value if isinstance(given_value, str) else given_value.decode("latin-1")
        secrets.add(*(word for word in re.findall(r"[\w+/=.\\-]{13,}", text) if "---" not in word))
    return secrets


def refused(call: Callable[[], Any], sentence: str, given_value: Any, caplog: Any = None) -> None:
    """Check that a call is refused in this sentence, and that nothing handed in is seen."""
    with pytest.raises(ConfigurationError) as caught:
        call()
    assert str(caught.value) == sentence
    assert caught.value.__context__ is None
    secrets = telling(given_value)
    assert exposed_by(caught.value, secrets) == []
    shown = f"{caught.value!r} {caught.value.args} {'' if caplog is None else caplog.text}"
    assert not secrets.are_in(shown)
