"""The pure-Python hot path: the readable twin of each compiled module, with the same names and behaviour."""
