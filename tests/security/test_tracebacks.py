"""No error shows a token, a secret or a part of one, though its frames are shown with their locals.

Each error that a public call can raise is provoked, and all frames, causes and contexts of it are
searched, as Sentry, rich and ``cgitb`` would show them.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from hashlib import sha512
from types import FrameType
from typing import Any

import pytest
import redis
import redis.asyncio
from cryptography.hazmat.primitives import serialization

from tests.security.exposure import TESTS, Secrets, exposed_by, exposed_in
from tests.servers import free_port, needs_server, serving
from tests.support import FakeClock, forge
from tokenwheel import (
    AsyncSessionManager,
    Device,
    Key,
    KeySet,
    MemoryStorage,
    RedisFeed,
    RedisStorage,
    RevocationList,
    SessionContext,
    SessionEvent,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.cli import main
from tokenwheel.hidden import Hidden
from tokenwheel.jwt import AccessTokens
from tokenwheel.session import refresh_tokens

SIGNING_SECRET = "Zr8-a-shared-secret-that-signs-0123456789-qWeRtYuIoP"
STORAGE_KEY = sha512(b"the key of a storage").digest()[:40]
PASSWORD = "correct-horse-battery-staple"
EC = Key.generate("ES256", kid="ec")


class WatchedStorage(MemoryStorage):
    """Fails where it is told to, and looks at the callers' frames whenever it is called."""

    def __init__(self, secrets: Secrets, waits: bool) -> None:
        super().__init__()
        self.waits = waits
        self.timeout = 60.0
        self.fails_at = ""
        self.answers: dict[str, Any] = {}
        self.exposed: list[str] = []
        self._secrets = secrets

    def _enter(self, name: str) -> None:
        frame: FrameType | None = sys._getframe().f_back
        while frame is not None:
            # What runs the tests knows their names, which may hold anything.
            if "pytest" not in frame.f_code.co_filename and "xdist" not in frame.f_code.co_filename:
                self.exposed += exposed_in(frame, self._secrets)
            frame = frame.f_back
        if name == self.fails_at:
            raise OSError("the disk is full")

    def insert(self, *arguments: Any) -> Any:
        self._enter("insert")
        return self.answers.get("insert", super().insert)(*arguments)

    def read(self, *arguments: Any) -> Any:
        self._enter("read")
        return self.answers.get("read", super().read)(*arguments)

    def read_all(self, *arguments: Any) -> Any:
        self._enter("read_all")
        return super().read_all(*arguments)

    def replace(self, *arguments: Any) -> Any:
        self._enter("replace")
        return self.answers.get("replace", super().replace)(*arguments)

    def delete(self, *arguments: Any) -> Any:
        self._enter("delete")
        return super().delete(*arguments)


class BrokenFeed:
    """A feed that can tell nobody anything."""

    def start(self, apply: Any) -> None: ...

    def publish(self, revocations: Any) -> None:
        raise OSError("the network is down")

    def poll(self) -> None: ...

    def close(self) -> None: ...


class World:
    """A manager of some colour over a watched storage, and the secrets that it has known."""

    def __init__(
        self, colour: str, loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.colour = colour
        self.loop = loop
        self.secrets = Secrets(SIGNING_SECRET, STORAGE_KEY)
        self.clock = FakeClock(1_700_000_000.25)
        self.storage = WatchedStorage(self.secrets, waits=colour == "threads")
        self.managers: list[Any] = []
        self._learn_what_is_made(monkeypatch)

    def close(self) -> None:
        for manager in self.managers:
            self.call(manager.close)

    def _learn_what_is_made(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take in what is never handed out as well, since the call failed."""
        random_bytes, successor = refresh_tokens.random_bytes, refresh_tokens.successor
        issue = AccessTokens.issue

        def draw(count: int) -> bytes:
            drawn = random_bytes(count)
            if count > 27:  # Others are salts.
                self.secrets.add(drawn[12:])
            return drawn

        def derive(*arguments: Any) -> bytes:
            secret = successor(*arguments)
            self.secrets.add(secret)
            return secret

        def sign(*arguments: Any, **options: Any) -> str:
            token = issue(*arguments, **options)
            self.secrets.add_access_token(token)
            return token

        monkeypatch.setattr(refresh_tokens, "random_bytes", draw)
        monkeypatch.setattr(refresh_tokens, "successor", derive)
        monkeypatch.setattr(AccessTokens, "issue", sign)

    def manager(self, **options: Any) -> Any:
        kind = SessionManager if self.colour == "blocking" else AsyncSessionManager
        manager = kind(
            options.pop("keys", SIGNING_SECRET),
            **{
                "issuer": "i", "audience": "a", "clock": self.clock, "storage": self.storage,
                "storage_key": STORAGE_KEY, **options,
            },
        )  # fmt: skip
        self.managers.append(manager)
        return manager

    def call(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        return _run(self.loop, method, *arguments, **options)

    def login(self, manager: Any, **options: Any) -> Any:
        tokens = self.call(manager.create, subject="ann", **options)
        self.know(tokens)
        return tokens

    def know(self, tokens: Any) -> None:
        self.secrets.add_refresh_token(tokens.refresh_token)
        self.secrets.add_access_token(tokens.access_token)


def _run(
    loop: asyncio.AbstractEventLoop, method: Callable[..., Any], *arguments: Any, **options: Any
) -> Any:
    answer = method(*arguments, **options)
    return loop.run_until_complete(answer) if inspect.isawaitable(answer) else answer


@pytest.fixture(params=["blocking", "async", "threads"])
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    loop = asyncio.new_event_loop()
    world = World(request.param, loop, monkeypatch)
    yield world
    world.close()
    loop.close()


def check(world: World, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Check that the call is refused and that the error shows no secret. Return the error."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- whichever it is
        world.call(method, *arguments, **options)
    assert exposed_by(caught.value, world.secrets) == []
    assert world.storage.exposed == []
    return caught.value


def presenting(token: str) -> dict[str, str]:
    """Return a refresh token with each kind of mistake in it."""
    return {
        "cut off": token[:-3],
        "too short": token[:40],
        "of another alphabet": token[:-2] + "+/",
        "not ASCII": token + "\u00e9",
        "with a lone surrogate": token + "\ud800",
        "with white space": token + "\n",
        "too long": token * 40,
    }


def test_malformed_refresh_tokens_are_in_no_frame(world: World) -> None:
    with_manager = world.manager()
    token = world.login(with_manager).refresh_token
    for malformed in [*presenting(token).values(), token.encode(), [token]]:
        check(world, with_manager.update, malformed)
        check(world, with_manager.delete_one, "ann", malformed)
        check(world, with_manager.restrict_one, {"sub": "ann", "sid": malformed})
        check(world, with_manager.delete_all, "ann", keep=malformed)
        check(world, with_manager.restrict_all, "ann", keep=malformed)
    for keeping in (with_manager.delete_all, with_manager.restrict_all):
        check(world, keeping, "", keep=token)
        check(world, keeping, 5, keep=token)
    check(world, with_manager.delete_one, "", token)
    check(world, with_manager.delete_one, 5, token)
    check(world, with_manager.restrict_one, {"sub": "", "sid": token})
    check(world, with_manager.restrict_one, [token])


def test_refresh_tokens_that_open_nothing_are_in_no_frame(world: World) -> None:
    manager = world.manager(reuse_grace=0, refresh_ttl=1_000, access_ttl=100)
    tokens = world.login(manager)
    refresh_token = tokens.refresh_token
    check(world, manager.update, refresh_token, subject="bob")
    unknown = "A" * 16 + refresh_token[16:]
    check(world, manager.update, unknown)
    wrong_family = refresh_token[:16] + "A" * 20 + refresh_token[36:]
    check(world, manager.update, wrong_family)
    world.know(world.call(manager.update, refresh_token))
    assert check(world, manager.update, refresh_token).code == "refresh_token_reused"
    expiring = world.login(manager)
    world.clock.advance(2_000)
    assert check(world, manager.update, expiring.refresh_token).code == "session_not_found"


def test_a_refused_argument_takes_no_token_along(world: World) -> None:
    manager = world.manager()
    token = world.login(manager).refresh_token
    for options in (
        {"claims": {"sub": "x"}}, {"claims": 5}, {"claims": {"x": object()}},
        {"claims": {"big": "x" * 9_000}}, {"subject": ""}, {"context": 5}, {"access_ttl": 0},
    ):  # fmt: skip
        check(world, manager.update, token, **options)
        check(world, manager.create, **{"subject": "ann", **options})
    check(world, manager.create, subject="ann", refresh_ttl=-1)


@pytest.mark.parametrize("step", ["insert", "read", "read_all", "replace", "delete"])
def test_a_storage_that_fails_at_any_step_takes_no_token_along(world: World, step: str) -> None:
    manager = world.manager(reuse_grace=0, max_sessions=2, when_full="evict_oldest")
    tokens = world.login(manager)
    old = world.login(manager)
    world.know(world.call(manager.update, old.refresh_token))
    world.storage.fails_at = step
    calls: list[tuple[Any, ...]] = [
        (manager.update, tokens.refresh_token),
        (manager.update, old.refresh_token),
        (manager.delete_one, "ann", tokens.refresh_token),
        (manager.end, old.refresh_token),
        (manager.end, tokens.refresh_token),
        (lambda token: manager.restrict_all("ann", keep=token), old.refresh_token),
        (lambda token: manager.delete_all("ann", keep=token), old.refresh_token),
        (manager.restrict_one, {"sub": "ann", "sid": tokens.refresh_token}),
        (manager.restrict_one, manager.read(tokens.access_token)),
        (manager.delete_all, "ann"),
        (lambda: manager.create(subject="ann"),),
    ]
    errors: list[Exception] = []
    for method, *arguments in calls:
        try:
            world.call(method, *arguments)
        except Exception as error:
            errors.append(error)
    assert any(isinstance(error, StorageUnavailable) for error in errors)
    assert [exposed_by(error, world.secrets) for error in errors] == [[]] * len(errors)
    assert world.storage.exposed == []


@pytest.mark.parametrize("step", ["read", "replace", "insert"])
def test_a_storage_that_answers_nonsense_takes_no_token_along(world: World, step: str) -> None:
    manager = world.manager()
    tokens = world.login(manager)
    world.storage.answers[step] = lambda *_: _nonsense()
    check(world, manager.update if step != "insert" else _creating(manager), tokens.refresh_token)


def _nonsense() -> Any:
    raise ValueError("what is stored there is no session")


def _creating(manager: Any) -> Callable[[Any], Any]:
    return lambda _: manager.create(subject="ann")


@pytest.mark.parametrize(
    "damage", [{"salt": "text"}, {"salt": 5}, {"secret_hash": "text"}, {"family_hash": "é"},
               {"previous_hash": 5}, {"mac": b"m"}]
)  # fmt: skip
def test_a_damaged_record_takes_no_token_along(world: World, damage: dict[str, Any]) -> None:
    manager = world.manager(storage_key=None)
    first = world.login(manager)
    world.know(world.call(manager.update, first.refresh_token))
    read = MemoryStorage.read
    world.storage.answers["read"] = lambda *arguments: read(world.storage, *arguments)._replace(
        **damage
    )  # type: ignore[union-attr]
    check(world, manager.update, first.refresh_token)
    if "family_hash" in damage:  # Nothing else takes part in a logout.
        check(world, manager.end, first.refresh_token)


def test_a_strange_id_prefix_takes_no_token_along(world: World) -> None:
    world.storage.session_id_prefix = lambda subject: "no bytes"  # type: ignore[attr-defined]
    check(world, world.manager().create, subject="ann")


def test_a_hook_that_raises_takes_no_token_along(world: World) -> None:
    device = SessionContext(device=Device("phone", "mobile"))
    manager = world.manager(refresh_hook=_refusing_hook)
    token = world.login(manager, context=device).refresh_token
    check(world, manager.update, token, context=device)
    manager = world.manager()
    token = world.login(manager, context=device).refresh_token
    check(world, manager.update, token)


def _refusing_hook(session: Any, context: Any) -> None:
    raise LookupError("no such device")


def test_a_callable_for_claims_that_raises_takes_no_token_along(world: World) -> None:
    manager = world.manager()
    token = world.login(manager).refresh_token
    for ask in (_refusing_claims, lambda session: 5, lambda session: {"x": object()}, dict):
        check(world, manager.update, token, ask)
    if world.colour == "blocking":
        check(world, manager.update, token, _claims_to_await)


def _refusing_claims(session: Any) -> None:
    raise LookupError("no such role")


async def _claims_to_await(session: Any) -> None: ...


def test_a_feed_that_fails_takes_no_token_along(world: World) -> None:
    manager = world.manager(
        revocations=RevocationList(BrokenFeed(), clock=world.clock), reuse_grace=0
    )
    tokens = world.login(manager)
    check(world, manager.delete_one, "ann", tokens.refresh_token)
    check(world, manager.end, tokens.refresh_token)
    check(world, manager.restrict_one, manager.read(world.login(manager).access_token))
    replaced = world.login(manager)
    world.know(world.call(manager.update, replaced.refresh_token))
    check(world, manager.update, replaced.refresh_token)


def test_too_many_sessions_take_no_token_along(world: World) -> None:
    manager = world.manager(max_sessions=1)
    world.login(manager)
    assert check(world, manager.create, subject="ann").code == "too_many_sessions"


def test_keys_that_cannot_sign_take_no_token_along(world: World) -> None:
    token = world.login(world.manager()).refresh_token
    public = world.manager(keys=KeySet(EC.public()))
    check(world, public.update, token)
    check(world, public.create, subject="ann")


def test_a_record_that_cannot_be_sealed_again_takes_no_token_along(world: World) -> None:
    token = world.login(world.manager()).refresh_token
    check(world, world.manager(storage_key=None).update, token)


class OwnReading(SessionManager):
    """A manager whose ``read`` an application has extended."""

    def read(self, access_token: str, **options: Any) -> Any:
        return super().read(access_token, **options)


@pytest.mark.parametrize("kind", [SessionManager, OwnReading])
def test_an_access_token_that_is_refused_is_in_no_frame(kind: Any) -> None:
    key = Key.from_secret(SIGNING_SECRET)
    clock = FakeClock(1_700_000_500.0)
    manager = kind(SIGNING_SECRET, issuer="i", audience="a", clock=clock)
    good = forge(key=key)
    revoked = manager.create(subject="ann")
    manager.delete_one("ann", revoked.session_id)
    header, claims, signature = good.split(".")
    tokens = [
        revoked.access_token, good[:-2], f"{header}.{claims}", f"{good}.{claims}", good + "=",
        good + "\u00e9", f"{claims}.{claims}.{signature}", f"{header}.{claims}.{claims}",
        forge(key=Key.generate("HS256")), good * 60,
        forge({"iss": "other"}, key), forge("no object", key), forge(key=key, typ="JWT"),
        forge(key=key, kid="other"), forge(key=key, alg="HS512"), forge(key=key, crit=["x"]),
        forge({"iss": "i", "aud": "b", "sub": "s", "sid": "A" * 16, "iat": 1, "exp": 2**40}, key),
        forge({"iss": "i", "aud": "a", "sub": "s", "sid": "A" * 16, "iat": 1, "exp": 2}, key),
        forge({"iss": "i", "aud": "a", "sub": "s", "sid": "A" * 16, "iat": 2**39, "exp": 2**40},
              key),
        good.encode() + b"\xe9", bytearray(good.encode()), [good], None, f"Bearer {good}",
        f'"{good}"', f"{good}\n", repr(good.encode()), f"Bearer {good}".encode(),
    ]  # fmt: skip
    calls = [(token, {}) for token in tokens]
    calls += [(good, {"leeway": -1}), (good, {"audience": 5}), (good, {"audience": "other"})]
    for token, options in calls:
        secrets = Secrets(SIGNING_SECRET, good)
        if isinstance(token, str):
            secrets.add(token)
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- whichever it is
            manager.read(token, **options)
        assert exposed_by(caught.value, secrets) == []


def _pem(password: bytes | None = None) -> bytes:
    encryption: Any = serialization.NoEncryption()
    if password is not None:
        encryption = serialization.BestAvailableEncryption(password)
    return EC._private.private_bytes(  # type: ignore[no-any-return]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def _calls_with_keys() -> dict[str, Callable[[], Any]]:
    """Return calls that each refuse a key, by what is wrong with it."""
    pem, encrypted = _pem(), _pem(PASSWORD.encode())
    jwk = EC.to_jwk(private=True)
    shared = Key.from_secret(SIGNING_SECRET).to_jwk(private=True)
    calls: dict[str, Callable[[], Any]] = {}
    for kind in (Key, KeySet):
        name = kind.__name__
        made: Any = kind
        calls |= {
            f"{name}: short secret": lambda made=made: made.from_secret(SIGNING_SECRET[:31]),
            f"{name}: surrogate": lambda made=made: made.from_secret(SIGNING_SECRET + "\ud800"),
            f"{name}: a PEM as secret": lambda made=made: made.from_secret(pem),
            f"{name}: a JWK as secret": lambda made=made: made.from_secret(json.dumps(jwk)),
            f"{name}: bad kid": lambda made=made: made.from_secret(SIGNING_SECRET, kid="\n"),
            f"{name}: bad algorithm": lambda made=made: made.from_secret(SIGNING_SECRET, "none"),
            f"{name}: swapped": lambda made=made: made.from_secret("HS256", SIGNING_SECRET),
            f"{name}: PEM cut off": lambda made=made: made.from_pem(pem[:-40], "ES256"),
            f"{name}: PEM of another kind": lambda made=made: made.from_pem(pem, "RS256"),
            f"{name}: PEM with bad kid": lambda made=made: made.from_pem(pem, "ES256", kid=""),
            f"{name}: PEM not bytes": lambda made=made: made.from_pem([pem], "ES256"),
            f"{name}: no password": lambda made=made: made.from_pem(encrypted, "ES256"),
            f"{name}: wrong password": lambda made=made: made.from_pem(
                encrypted, "ES256", password=PASSWORD + "r"
            ),
            f"{name}: password not needed": lambda made=made: made.from_pem(
                pem, "ES256", password=PASSWORD
            ),
            f"{name}: password with surrogate": lambda made=made: made.from_pem(
                encrypted, "ES256", password=PASSWORD + "\ud800"
            ),
            f"{name}: JWK cut off": lambda made=made: made.from_jwk(json.dumps(jwk)[:-5]),
            f"{name}: JWK not UTF-8": lambda made=made: made.from_jwk(
                json.dumps(jwk).encode() + b"\xff"
            ),
            f"{name}: JWK without y": lambda made=made: made.from_jwk({**jwk, "y": None}),
            f"{name}: JWK of mixed parts": lambda made=made: made.from_jwk(
                {**Key.generate("ES256").to_jwk(private=True), "d": jwk["d"]}
            ),
            f"{name}: JWK for encryption": lambda made=made: made.from_jwk({**jwk, "use": "enc"}),
            f"{name}: JWK of another alg": lambda made=made: made.from_jwk(jwk, "ES384"),
            f"{name}: JWK with bad alg": lambda made=made: made.from_jwk({**jwk, "alg": "x"}),
            f"{name}: JWK shared, short": lambda made=made: made.from_jwk(shared, "HS512"),
            f"{name}: JWK shared, no base64": lambda made=made: made.from_jwk(
                {**shared, "k": shared["k"] + "\u00e9"}
            ),
            f"{name}: JWK as a list": lambda made=made: made.from_jwk(json.dumps([jwk])),
        }
    keys = KeySet(EC)
    return (
        calls
        | {
            "set of secrets": lambda: KeySet(SIGNING_SECRET),  # type: ignore[arg-type]
            "set with a secret": lambda: keys.add(SIGNING_SECRET),  # type: ignore[arg-type]
            "JWKS cut off": lambda: KeySet.from_jwks(json.dumps({"keys": [jwk]})[:-5]),
            "JWKS of no list": lambda: KeySet.from_jwks({"keys": jwk}),
            "JWKS with a bad key": lambda: KeySet.from_jwks({"keys": [{**jwk, "x": ""}]}),
            "JWKS for nothing": lambda: KeySet.from_jwks({"keys": [jwk]}, algorithms=["PS256"]),
            "JWKS and algorithms": lambda: KeySet.from_jwks({"keys": [jwk]}, algorithms=["x"]),
            "JWKS and signing": lambda: KeySet.from_jwks({"keys": [jwk]}, signing="x"),
        }
    )


KEY_CALLS = _calls_with_keys()


@pytest.mark.parametrize("mistake", KEY_CALLS)
def test_a_key_that_is_refused_is_in_no_frame(mistake: str) -> None:
    pem = _pem()
    secrets = Secrets(SIGNING_SECRET, PASSWORD, EC.to_jwk(private=True)["d"])
    secrets.add(*pem.splitlines()[1:-1])
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- whichever it is
        KEY_CALLS[mistake]()
    assert exposed_by(caught.value, secrets) == []


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
def test_options_that_are_refused_show_no_key(kind: Any) -> None:
    url = f"redis://:{PASSWORD}@localhost:1/0"
    pem = _pem()
    secrets = Secrets(SIGNING_SECRET, STORAGE_KEY, PASSWORD, *pem.splitlines()[1:-1])
    options: list[dict[str, Any]] = [
        {"keys": SIGNING_SECRET[:31]}, {"keys": [SIGNING_SECRET]}, {"keys": pem},
        {"algorithm": "ES256"}, {"issuer": ""}, {"audience": ()}, {"access_ttl": 0},
        {"clock": 5}, {"refresh_hook": 5}, {"storage": url}, {"revocations": url},
        {"storage_key": STORAGE_KEY[:31]}, {"storage_key": [STORAGE_KEY, STORAGE_KEY]},
        {"storage_key": pem}, {"storage_key": {"k": STORAGE_KEY}},
        {"storage_key": json.dumps(EC.to_jwk(private=True))}, {"storage_key": '{"kty": "oct"'},
        {"storage_key": [STORAGE_KEY, 5]}, {"leeway": -1}, {"verified_cache_size": -1},
    ]  # fmt: skip
    for option in options:
        given: dict[str, Any] = {
            "keys": SIGNING_SECRET, "issuer": "i", "audience": "a", "storage_key": STORAGE_KEY,
            **option,
        }  # fmt: skip
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- whichever it is
            kind(**given)
        assert exposed_by(caught.value, secrets) == [], option.keys()


def test_a_url_in_place_of_a_client_is_in_no_frame() -> None:
    url: Any = f"redis://:{PASSWORD}@localhost:1/0"
    for made in (RedisStorage, RedisFeed, RevocationList):
        with pytest.raises(Exception) as caught:  # noqa: PT011 -- whichever it is
            made(url)
        assert exposed_by(caught.value, Secrets(PASSWORD)) == []


@needs_server
@pytest.mark.parametrize("library", [redis, redis.asyncio])
def test_the_servers_password_is_in_no_frame(tmp_path: Any, library: Any) -> None:
    loop = asyncio.new_event_loop()
    kind: Any = SessionManager if library is redis else AsyncSessionManager
    with serving(tmp_path) as node, node.client() as setting:
        setting.config_set("requirepass", "another")
        for port in (node.port, free_port()):
            client = library.Redis(port=port, password=PASSWORD)
            storage = RedisStorage(client)
            manager = kind(
                SIGNING_SECRET, issuer="i", audience="a", storage=storage, storage_key=STORAGE_KEY
            )
            with pytest.raises(StorageUnavailable) as caught:
                _run(loop, manager.create, subject="ann")
            assert caught.value.__cause__ is not None
            assert exposed_by(caught.value, Secrets(PASSWORD, SIGNING_SECRET)) == []
            if library is redis:
                with pytest.raises(StorageUnavailable) as caught:
                    storage.count(0)
                assert exposed_by(caught.value, Secrets(PASSWORD)) == []
                manager.close()
                client.close()
            else:
                loop.run_until_complete(manager.close())
                loop.run_until_complete(client.aclose())
        setting.config_set("requirepass", "")
    loop.close()


def test_an_error_that_ends_a_command_shows_no_password_and_no_token(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    token = forge(key=Key.from_secret(SIGNING_SECRET))
    key_file = tmp_path / "key.jwk"
    key_file.write_text(json.dumps(Key.from_secret(SIGNING_SECRET).to_jwk(private=True)))
    url = f"redis://:{PASSWORD}@localhost:{free_port()}/0"
    monkeypatch.setenv("REDISCLI_AUTH", PASSWORD)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(token.encode())))
    monkeypatch.setattr("sys.stdout", None)
    secrets = Secrets(PASSWORD, SIGNING_SECRET, token)
    for words in (
        ["sessions", "count", "--database", url],
        ["sessions", "list", "ann", "--database", f"redis://:{PASSWORD}@localhost:port/0"],
        ["inspect", "--key", str(key_file)],
        ["sessions", "list", "--no-such-option", url],
    ):
        with monkeypatch.context() as interrupted:
            interrupted.setattr("builtins.print", _interrupted)
            with pytest.raises((KeyboardInterrupt, SystemExit)) as caught:
                main(words)
        assert exposed_by(caught.value, secrets) == []


def _interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_what_is_logged_with_its_traceback_shows_no_token(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    manager = world.manager(reuse_grace=0)
    for event in SessionEvent:
        manager.on(event, _refusing_listener)
    tokens = world.login(manager)
    world.know(world.call(manager.update, tokens.refresh_token))
    check(world, manager.update, tokens.refresh_token)
    world.call(manager.delete_all, "ann")
    records = [record for record in caplog.records if record.exc_info]
    assert len(records) >= 4
    for record in records:
        assert record.exc_info is not None
        assert record.exc_info[1] is not None
        assert exposed_by(record.exc_info[1], world.secrets) == []
        assert not world.secrets.are_in(record.getMessage())


def _refusing_listener(event: Any) -> None:
    raise LookupError("the listener cannot")


def test_a_task_that_nobody_awaits_tells_no_token(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.new_event_loop()
    loop.set_debug(True)
    world = World("async", loop, monkeypatch)
    manager = world.manager()
    token = world.login(manager).refresh_token
    world.storage.fails_at = "read"
    told: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda loop, context: told.append(context))

    async def leave_alone() -> None:
        task = asyncio.ensure_future(manager.update(token))
        await asyncio.wait([task])

    loop.run_until_complete(leave_alone())
    del leave_alone
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert len(told) == 1
    assert "never retrieved" in told[0]["message"]
    assert exposed_by(told[0]["exception"], world.secrets) == []
    assert not world.secrets.are_in(repr(told))
    assert not world.secrets.are_in(caplog.text)


def test_the_standard_librarys_own_traceback_with_locals_shows_no_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.new_event_loop()
    world = World("blocking", loop, monkeypatch)
    manager = world.manager()
    token = world.login(manager).refresh_token
    world.storage.fails_at = "replace"
    error = check(world, manager.update, token)
    below_the_test = error.__traceback__
    while below_the_test.tb_frame.f_code.co_filename.startswith(TESTS):
        below_the_test = below_the_test.tb_next
    text = "".join(
        traceback.TracebackException(
            type(error), error, below_the_test, capture_locals=True
        ).format(chain=False)
    )
    assert "presented = " in text
    assert not world.secrets.are_in(text)
    loop.close()


def test_what_hides_a_secret_shows_it_in_no_way() -> None:
    secrets = Secrets(PASSWORD)
    for hidden in (Hidden(PASSWORD), Hidden(PASSWORD.encode())):
        for shown in (repr(hidden), str(hidden), f"{hidden}", f"{[hidden]!r}"):
            assert not secrets.are_in(shown)
        with pytest.raises(TypeError, match="holds a secret") as caught:
            pickle.dumps(hidden)
        assert exposed_by(caught.value, secrets) == []
        with pytest.raises(TypeError):
            hash(hidden)
    assert Hidden(PASSWORD) == Hidden(PASSWORD)
    assert Hidden(PASSWORD) != Hidden(PASSWORD + "r")
    assert Hidden(PASSWORD) != PASSWORD


def test_the_search_finds_a_secret_where_there_is_one() -> None:
    secrets = Secrets(STORAGE_KEY, PASSWORD)
    with pytest.raises(json.JSONDecodeError) as caught:
        json.loads('["' + PASSWORD)
    assert any("decode" in place for place in exposed_by(caught.value, secrets))
    assert "JSONDecodeError.doc" in exposed_by(caught.value, secrets)
