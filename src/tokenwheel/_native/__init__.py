"""The compiled hot path: where ``ext/*.pyx`` is built. One ``.pyi`` a module, which is the contract of both twins."""
