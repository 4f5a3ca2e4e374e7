"""The pure-Python hot path: the readable twin of each compiled module, with the same names.

What a compiled module is made of has a file here too, named as its ``.pxd``. The docstrings of
public names are written here, and copied from here into the compiled modules and their stubs by
``tools/docstrings.py``.
"""
