"""The forms in which keys are handed over, read and written: PEM, JWK, and sets of these.

``pem`` finds blocks (``pem_blocks``) and reads them (``pem_loading``); ``jwk`` reads a single JSON
Web Key, whose algorithm ``jwk_algorithms`` tells; ``jwks`` reads and writes sets, ``passed_over``
tells what it has left, and ``known_keys`` has what needn't be made anew. ``mistakes`` and
``jwk_mistakes`` name what was handed in that is no key, and the call that would be right;
``text_forms``, ``der_forms`` and ``key_kinds`` tell them what it is.
"""
