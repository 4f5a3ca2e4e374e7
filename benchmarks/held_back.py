"""What keeps a goal from being met, and what was tried, by the name of the goal's checks.

The report shows it for the goals that are not met.
"""

HELD_BACK = {
    "read_seen": """
        The hash of a text that was never hashed before, and the comparison of that text, are most
        of a read: nothing that remembers by the token can do without.
    """,
    "read_beside_revocations": """
        No read of a token seen before asks the list while nothing is added to it. What is left is
        where the memory of the process lies.
    """,
    "read_unseen_claim": """
        What was verified is a text: to find a claim is to walk over those before it, and its value
        is made a `str` then.
    """,
    "remembered": """
        The text of the token, its registered claims as objects of Python, and their places in the
        memory's table, of which some are spare.
    """,
    "imported": """
        The modules of this library, its extensions, and the parser of JSON.
    """,
    "read_unseen": """
        OpenSSL's HMAC, the objects in which a token is remembered, and base64url take what there
        is. Tried: raw states of SHA-256 for OpenSSL's contexts, which are faster, deprecated, and
        go round FIPS; contexts made anew, and `EVP_MAC`, which are slower. Not done: to remember a
        token at its second sight only, since a token that comes again would be verified twice.
    """,
    "read_unseen_asymmetric": """
        RSA is checked so fast that a tenth of it is 2 µs, and what comes before and after runs from
        caches that the arithmetic has swept: the same steps take 1.3 µs around an HMAC. Remembering
        the token adds what it adds with HS256. Tried and kept: PyJWT's algorithm objects left out,
        0.3 µs less for RS256 and 3.2 µs for ES256; base64url 16 digits at a time.
    """,
    "zipf": """
        A token that the default 64 MiB have no room for is verified again.
    """,
    "issue": """
        `update` signs once and computes three SHA-256 and one HMAC besides.
    """,
    "new_token": """
        The operating system's generator: 2.6 ns a byte, 62 ns of each token, however large the
        blocks in which it is drawn (tried from 256 bytes to 64 KiB). The rest is the call, the
        `str` and its digits. OpenSSL's generator would be faster; randomness stays the operating
        system's.
    """,
    "revocations": """
        Waiting for memory, as the dict does: the two are within the spread of the run.
    """,
    "cache_against_peers": """
        cachebox and rust-py-cache come within the spread of the run at a million entries, where
        everybody waits for memory. Its TTLCache has one lifetime for all, so that what is set goes
        to the end of a queue, and pays at `del`.
    """,
    "cache_against_dict": """
        A new entry touches five lines of memory at random: two of marks, the bucket's, the row's
        ends, its place; where a dict touches one and appends. Tried: entries linked in a slab with
        an index beside, which costs more at everything; spare rows kept and huge pages, which
        change nothing.
    """,
    "falling_due": """
        Python's allocator: with the last object of an arena it returns one MiB to the system, and
        the caller waits for the kernel. No call removes more than five entries. Of memory, the
        table gives back all but 0.3 MB; what stays is the allocator's, where keys and values were.
    """,
    "feed": """
        SQLite takes two thirds of a replay: half a second to step through a million rows and make
        their values.
    """,
    "followed": """
        The spread of the run: beside what a fixed set costs, a read compares the time that it has
        asked for anyway with that of the last look, and looks once a second.
    """,
    "logout": """
        Eight nodes and the server on so few cores: who is woken last waits for the others. Besides,
        a node's thread that computes keeps Python's lock from the one that hears, up to 5 ms each
        time (`sys.setswitchinterval`).
    """,
    "scale": """
        The processor's caches and its table of pages: an entry lies one step of memory further away
        than a dict's, in pages of 4 KiB, and at 10 thousand entries, where all is near, it is the
        dict that is slower. The number of steps is the same at every size.
    """,
    "pure": """
        Python: each call costs one or two more than a dict by hand, which never gives back what
        nobody asks for, bounds nothing and tells nobody. Reading a token never seen is faster than
        PyJWT alone.
    """,
}
