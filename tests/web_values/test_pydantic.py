"""Claims, sessions and tokens as fields of pydantic's models."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict
from typing import Any, Optional

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from tests.web_values.conftest import Login
from tokenwheel import Claims, Device, Session, SessionContext, SessionTokens


class Page(BaseModel):
    claims: Claims
    perhaps: Optional[Claims] = None  # noqa: UP045 -- the old spelling is tried, too
    several: list[Claims] = []
    tokens: SessionTokens | None = None
    sessions: dict[str, Session] = {}
    context: SessionContext | None = None


class Site(BaseModel):
    page: Page


def page_of(login: Login) -> Page:
    return Page(
        claims=login.claims,
        perhaps=login.claims,
        several=[login.claims],
        tokens=login.tokens,
        sessions={"first": login.session},
        context=login.context,
    )


def members_of(login: Login) -> dict[str, Any]:
    return {
        "claims": dict(login.claims),
        "perhaps": dict(login.claims),
        "several": [dict(login.claims)],
        "tokens": asdict(login.tokens),
        "sessions": {"first": asdict(login.session)},
        "context": asdict(login.context),
    }


def test_a_model_writes_each_value_as_its_members(login: Login) -> None:
    site = Site(page=page_of(login))
    assert site.model_dump() == {"page": members_of(login)}
    assert site.model_dump(mode="json") == {"page": members_of(login)}
    assert TypeAdapter(Any).validate_json(site.model_dump_json()) == {"page": members_of(login)}


def test_a_model_keeps_the_very_claims_that_read_returned(login: Login) -> None:
    page = page_of(login)
    assert page.claims is page.perhaps is page.several[0] is login.claims
    assert page.model_copy(deep=True).claims is login.claims
    assert Page.model_validate(page).claims is login.claims
    assert Page.model_validate({"claims": login.claims}, strict=True).claims is login.claims


def test_what_a_model_writes_of_claims_is_a_copy_of_the_callers_own(login: Login) -> None:
    Page(claims=login.claims).model_dump()["claims"]["roles"][1]["of"].append(2)
    assert login.claims["roles"] == ["admin", {"of": [1]}]


def test_a_claim_that_is_excluded_is_not_written(login: Login) -> None:
    expected = {name: login.claims[name] for name in login.claims if name != "balance"}
    page = Page(claims=login.claims)
    assert page.model_dump(include={"claims"}, exclude={"claims": {"balance"}}) == {
        "claims": expected
    }
    assert TypeAdapter(Claims).dump_python(login.claims, exclude={"balance"}) == expected
    assert TypeAdapter(Claims).dump_python(login.claims, include={"sub"}) == {"sub": "ann"}


@pytest.mark.parametrize("kind", [Claims, Session, SessionTokens, SessionContext, Device])
def test_an_adapter_writes_each_value_as_its_members(login: Login, kind: Any) -> None:
    value = {
        Claims: login.claims,
        Session: login.session,
        SessionTokens: login.tokens,
        SessionContext: login.context,
        Device: login.context.device,
    }[kind]
    members = dict(value) if kind is Claims else asdict(value)
    for adapter in (TypeAdapter(kind), TypeAdapter(kind | None), TypeAdapter(Any)):
        assert TypeAdapter(Any).validate_json(adapter.dump_json(value)) == members
        assert adapter.dump_python(value, mode="json") == members
    assert TypeAdapter(kind).validate_python(value) is value
    if kind is not Claims:
        assert TypeAdapter(kind).validate_json(TypeAdapter(kind).dump_json(value)) == value


def test_claims_under_a_type_that_says_nothing_are_written_as_their_members(login: Login) -> None:
    given = {"a": [login.claims]}
    for kind in (Any, dict, dict[str, Any], object):
        assert TypeAdapter(kind).dump_python(given, mode="json") == {"a": [dict(login.claims)]}


@pytest.mark.parametrize("mode", ["validation", "serialization"])
def test_the_schema_of_claims_is_an_object_with_room_for_more(mode: Any) -> None:
    schema = TypeAdapter(Claims).json_schema(mode=mode)
    assert (schema["title"], schema["type"], schema["additionalProperties"]) == (
        "Claims",
        "object",
        True,
    )
    assert (
        sorted(schema["required"]) == sorted(schema["properties"]) == ["exp", "iat", "sid", "sub"]
    )
    assert Page.model_json_schema(mode=mode)["$defs"]["Claims"] == schema


def test_no_mapping_and_no_json_becomes_verified_claims(login: Login) -> None:
    """A client that could post claims would name itself whoever it likes."""
    adapter = TypeAdapter(Claims)
    for forged in (dict(login.claims), login.tokens.access_token, None, 7):
        for strict in (None, False, True):
            with pytest.raises(
                ValidationError, match="Claims must be what read returned"
            ) as caught:
                adapter.validate_python(forged, strict=strict)
            assert [line["type"] for line in caught.value.errors()] == ["verified_claims"]
    with pytest.raises(ValidationError, match="Claims must be what read returned"):
        adapter.validate_json(adapter.dump_json(login.claims))
    with pytest.raises(ValidationError, match=r"page\.claims\n  Claims must be what read returned"):
        Site.model_validate({"page": {"claims": dict(login.claims)}})


def test_no_token_is_in_what_pydantic_says(login: Login) -> None:
    secrets = login.tokens.access_token, login.tokens.refresh_token
    half = {"access_token": secrets[0], "refresh_token": secrets[1], "session_id": 7}
    swapped = {**asdict(login.tokens), "session_id": None, "access_expires_at": secrets[0]}
    errors = []
    for kind, wrong in (
        (SessionTokens, half),
        (SessionTokens, swapped),
        (SessionTokens, secrets[0]),
        (list[SessionTokens], [half]),
        (Claims, secrets[0]),
    ):
        with pytest.raises(ValidationError) as caught:
            TypeAdapter(kind).validate_python(wrong)
        errors.append(caught.value)
    said = "".join(f"{error}{error!r}{error.errors()}{error.json()}" for error in errors)
    assert not [secret for secret in secrets if secret[:20] in said]
    assert [(line["type"], line["loc"]) for line in errors[0].errors()] == [
        ("string_type", ("session_id",)),
        ("missing", ("access_expires_at",)),
        ("missing", ("refresh_expires_at",)),
    ]
    assert not [secret for secret in secrets if secret[:20] in repr(page_of(login))]


def test_importing_tokenwheel_and_using_its_values_imports_no_pydantic() -> None:
    script = (
        "import sys, tokenwheel, copy\n"
        "claims = tokenwheel.Claims({'sub': 'a', 'sid': 'A' * 16, 'iat': 1, 'exp': 2})\n"
        "assert claims.to_dict() == dict(copy.copy(claims))\n"
        "print([name for name in sys.modules if name.startswith('pydantic')])"
    )
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert ran.stdout == "[]\n"


def test_where_pydantic_is_missing_claims_have_no_serializer_of_its_kind(
    login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydantic_core", None)
    from tokenwheel.pydantic_hooks import claims_serializer

    claims_serializer.cache_clear()
    assert not hasattr(login.claims, "__pydantic_serializer__")
