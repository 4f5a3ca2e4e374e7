"""The compiled hot path: where the ``.pyx`` files of ``ext`` are built, each beside its stub.

A stub (``.pyi``) is the contract of both twins: ``tools/check_stubs.py`` checks what was built and
the module of the same name in ``_pure`` against it.
"""
