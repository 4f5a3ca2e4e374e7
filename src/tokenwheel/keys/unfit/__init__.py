"""What makes a key unfit for anything: others can know its secret part, or compute it.

``readings`` tells in which spellings a secret is looked at, ``guessable`` and ``published`` whether
others know it, ``other_keys`` whether it is a key of another kind, and ``public_flaws`` whose
private part can be found. Which key is fit for which algorithm is in ``checks``.
"""
