"""Who takes part, under which name, and what each needs to run."""

from __future__ import annotations

from typing import NamedTuple


class Contender(NamedTuple):
    title: str
    distribution: str | None = None
    """Whose version is shown."""
    remark: str = ""
    """What a reader must know before comparing."""
    node: bool = False


CONTENDERS: dict[str, Contender] = {
    "tokenwheel": Contender("**tokenwheel**", "tokenwheel", "compiled"),
    "tokenwheel_uncached": Contender(
        "tokenwheel, remembering nothing", "tokenwheel", "compiled, `verified_cache_size=0`"
    ),
    "tokenwheel_roomy": Contender(
        "tokenwheel, remembering all", "tokenwheel", "compiled, with memory for every token"
    ),
    "tokenwheel_pure": Contender(
        "tokenwheel, pure Python", "tokenwheel", "the fallback where nothing can be compiled"
    ),
    "released": Contender(
        "tokenwheel, last release", "tokenwheel", "compiled, from the commit that was released"
    ),
    "tokenwheel_manager": Contender(
        "**tokenwheel**, `SessionManager`", "tokenwheel", "compiled; what a service imports"
    ),
    "tokenwheel_million": Contender(
        "**tokenwheel** beside 1,000,000 revocations", "tokenwheel", "compiled"
    ),
    "tokenwheel_ten_million": Contender(
        "**tokenwheel** beside 10,000,000 revocations", "tokenwheel", "compiled"
    ),
    "released_million": Contender(
        "tokenwheel, last release, beside 1,000,000 revocations", "tokenwheel", "compiled"
    ),
    "create": Contender(
        "**tokenwheel** `create`", "tokenwheel", "compiled; opens and stores a session besides"
    ),
    "update": Contender(
        "**tokenwheel** `update`", "tokenwheel", "compiled; rotates the refresh token besides"
    ),
    "released_create": Contender(
        "tokenwheel `create`, last release", "tokenwheel", "opens and stores a session besides"
    ),
    "released_update": Contender(
        "tokenwheel `update`, last release", "tokenwheel", "rotates the refresh token besides"
    ),
    "create_pure": Contender(
        "tokenwheel `create`, pure Python", "tokenwheel", "opens and stores a session besides"
    ),
    "update_pure": Contender(
        "tokenwheel `update`, pure Python", "tokenwheel", "rotates the refresh token besides"
    ),
    "pyjwt": Contender("PyJWT", "PyJWT"),
    "pyjwt_2_12": Contender(
        "PyJWT", "PyJWT", "the release before each character of base64url was checked in Python"
    ),
    "pyjwt_dict": Contender(
        "PyJWT and a dict, by hand",
        "PyJWT",
        "what one would write without a library; nothing is ever forgotten",
    ),
    "joserfc": Contender("joserfc", "joserfc"),
    "python_jose": Contender("python-jose", "python-jose"),
    "webtoken": Contender("webtoken", "webtoken", "Rust; takes a key as text only"),
    "oxyjwt": Contender("oxyjwt", "oxyjwt", "Rust"),
    "ryjwt": Contender("ryjwt", "ryjwt", "Rust"),
    "clasp": Contender(
        "clasp-jwt",
        "clasp-jwt",
        "Rust; refuses each token with `aud`, so its tokens have none and are shorter; answers "
        "with a text, which `json.loads` makes a dict",
    ),
    "superjwt": Contender("superjwt", "superjwt", "claims by Pydantic"),
    "pyjosers": Contender("pyjosers", "pyjosers", "Rust, with the interface of jwcrypto"),
    "cryptography": Contender(
        "the bare signature",
        "cryptography",
        "`cryptography` alone, on parts split and decoded beforehand: no claims",
    ),
    "fast_jwt": Contender("fast-jwt", "fast-jwt", "Node", node=True),
    "fast_jwt_cached": Contender(
        "fast-jwt, cache on", "fast-jwt", "Node; its default of 1,000 tokens", node=True
    ),
    "jsonwebtoken": Contender("jsonwebtoken", "jsonwebtoken", "Node", node=True),
    "memory": Contender("MemoryStorage", "tokenwheel", "forgotten with the process"),
    "sqlite_full": Contender(
        "SqliteStorage and SqliteFeed",
        "tokenwheel",
        '`synchronous="FULL"`, the default: survives a loss of power',
    ),
    "sqlite_normal": Contender(
        "SqliteStorage and SqliteFeed",
        "tokenwheel",
        '`synchronous="NORMAL"`: survives the end of any process',
    ),
    "tokenwheel_fed": Contender("**tokenwheel** with SqliteFeed", "tokenwheel", "compiled"),
    "redis": Contender(
        "RedisStorage and RedisFeed", "tokenwheel", "on a server that all machines share"
    ),
    "redis_threads": Contender(
        "RedisStorage and RedisFeed, 4 threads",
        "tokenwheel",
        "one client, whose pool has a connection for each",
    ),
    "sql_postgres": Contender(
        "SqlStorage and SqlFeed", "tokenwheel", "in a PostgreSQL that all machines share"
    ),
    "sql_threads": Contender(
        "SqlStorage and SqlFeed, 4 threads",
        "tokenwheel",
        "one engine, whose pool has a connection for each",
    ),
    "sql_fed": Contender("**tokenwheel** with SqlFeed", "tokenwheel", "compiled"),
    "redis_fed": Contender("**tokenwheel** with RedisFeed", "tokenwheel", "compiled"),
    "redis_fed_refusing": Contender(
        "**tokenwheel** with RedisFeed, refusing", "tokenwheel", 'compiled; `when_stale="refuse"`'
    ),
    "redis_fed_packed": Contender(
        "**tokenwheel** with RedisFeed, 250 an entry",
        "tokenwheel",
        "compiled; as many revocations at once are published",
    ),
    "measured": Contender("**tokenwheel** with metrics on", "tokenwheel", "compiled"),
    "key_file": Contender("**tokenwheel** with KeyFile", "tokenwheel", "compiled"),
    "remote_keys": Contender("**tokenwheel** with RemoteKeySet", "tokenwheel", "compiled"),
    "pyjwt_blocklist": Contender(
        "PyJWT and a blocklist in Redis", "PyJWT", "`EXISTS` at each request, with redis-py"
    ),
    "secrets": Contender("secrets.token_urlsafe", None),
    "nanoid_python": Contender("nanoid", "nanoid", "32 characters"),
    "nanoid_node": Contender("nanoid", "nanoid", "Node; 32 characters", node=True),
    "uid_safe": Contender("uid-safe", "uid-safe", "Node; its sync form", node=True),
    "dict": Contender("a plain dict", None, "nothing expires"),
    "dict_emptied": Contender(
        "a plain dict, emptied", None, "each of the million deleted by hand: `del c[k]`"
    ),
    "dict_by_hand": Contender(
        "a dict with ends, by hand",
        None,
        "looked at when asked; what nobody asks for stays for ever",
    ),
    "cachebox_vttl": Contender("cachebox.VTTLCache", "cachebox", "Rust"),
    "cachebox_ttl": Contender("cachebox.TTLCache", "cachebox", "Rust; one lifetime for all"),
    "rust_py_cache": Contender("rust-py-cache", "rust-py-cache", "Rust; pickles values"),
    "moka": Contender("moka-py", "moka-py", "Rust"),
    "cachetools_ttl": Contender("cachetools.TTLCache", "cachetools", "one lifetime for all"),
    "cachetools_tlru": Contender("cachetools.TLRUCache", "cachetools"),
    "theine": Contender("theine", "theine", "expires in a thread of its own"),
}
PURE = {"tokenwheel_pure", "create_pure", "update_pure"}
RELEASED = {"released", "released_million", "released_create", "released_update"}
EXPIRING_CACHES = [
    "cachebox_vttl",
    "cachebox_ttl",
    "rust_py_cache",
    "moka",
    "cachetools_ttl",
    "cachetools_tlru",
    "theine",
]
JWT_LIBRARIES = [
    "pyjwt",
    "pyjwt_2_12",
    "joserfc",
    "python_jose",
    "webtoken",
    "oxyjwt",
    "ryjwt",
    "clasp",
    "superjwt",
    "pyjosers",
    "fast_jwt",
    "jsonwebtoken",
]
FORGETFUL = ["pyjwt", "oxyjwt", "ryjwt"]
"""PyJWT and the two fastest, where all that remember nothing read as they do a token never seen."""
WITHOUT_AUDIENCE = {"clasp"}
"""Those that can't read a token with ``aud``."""


def plain(name: str) -> str:
    return CONTENDERS[name].title.replace("**", "").replace("`", "")
