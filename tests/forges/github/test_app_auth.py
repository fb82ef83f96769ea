"""A GitHub App's credentials: the signed claims, narrowed tokens, and one renewal at a time."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from buildbot.forges.github.api import Auth
from buildbot.forges.github.app_auth import AppAuth
from buildbot.ports import CallError, CredentialRefused, Refused, Throttled, Unanswered, Unavailable, Unreachable
from tests.forges.github.wire import API_URL, NOW, answer, page, said, wired

pytestmark = pytest.mark.anyio
REPO = "acme/api"
FOUND = answer(200, {"id": 42})
LONG = "ghs_12345_" + "x" * 600


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Apps:
    """Makes the App's credentials for a client."""

    def __init__(self, pem: str, clock: Clock) -> None:
        self._pem = pem
        self._clock = clock

    def __call__(self, client: httpx.AsyncClient, app_id: int | str = 12345) -> AppAuth:
        return AppAuth(client, api_url=API_URL, app_id=app_id, private_key_pem=self._pem, now=self._clock)


@pytest.fixture
def app(private_key_pem: str, clock: Clock) -> Apps:
    return Apps(private_key_pem, clock)


def issued(token: str = "ghs_1", expires_at: str = "2026-01-01T13:00:00Z") -> httpx.Response:
    return answer(201, {"token": token, "expires_at": expires_at, "permissions": {}})


async def test_a_token_is_for_one_repository_and_two_permissions(app: Apps) -> None:
    async with wired(FOUND, issued(LONG)) as (client, wire):
        assert await app(client).token(REPO) == LONG
    assert wire.asked == ["GET /repos/acme/api/installation", "POST /app/installations/42/access_tokens"]
    assert wire.body() == {"permissions": {"statuses": "write", "contents": "read"}, "repositories": ["api"]}


@pytest.mark.parametrize("app_id", [12345, "Iv23liabc"])
async def test_the_claims_are_those_that_github_demands(
    app: Apps, private_key: rsa.RSAPrivateKey, app_id: int | str
) -> None:
    async with wired(FOUND, issued()) as (client, wire):
        await app(client, app_id).token(REPO)
    for signed in wire.tokens:
        claims = jwt.decode(signed, private_key.public_key(), algorithms=["RS256"], options={"verify_exp": False})
        assert claims["iss"] == str(app_id)
        assert claims["iat"] == NOW.timestamp() - 60
        assert 0 < claims["exp"] - NOW.timestamp() <= 600


async def test_a_token_is_kept_until_five_minutes_before_its_end(app: Apps, clock: Clock) -> None:
    async with wired(FOUND, issued("ghs_1"), issued("ghs_2", "2026-01-01T14:00:00Z")) as (client, wire):
        auth = app(client)
        assert await auth.token(REPO) == "ghs_1"
        clock.now = NOW + timedelta(minutes=54)
        assert await auth.token("Acme/API") == "ghs_1"
        clock.now = NOW + timedelta(minutes=55)
        assert await auth.token(REPO) == "ghs_2"
    assert len(wire.requests) == 3


async def test_a_burst_asks_for_one_token(app: Apps) -> None:
    async with wired(FOUND, issued("ghs_1")) as (client, _):
        auth: Auth = app(client)
        assert await asyncio.gather(*[auth.token(REPO) for _ in range(20)]) == ["ghs_1"] * 20


async def test_each_repository_has_its_own_token(app: Apps) -> None:
    async with wired(FOUND, issued("ghs_a"), issued("ghs_b")) as (client, wire):
        auth = app(client)
        assert await auth.token("acme/a") == "ghs_a"
        assert await auth.token("acme/b") == "ghs_b"
        assert await auth.token("acme/a") == "ghs_a"
    assert wire.body()["repositories"] == ["b"]


async def test_the_installation_is_asked_for_once_for_all_repositories_of_an_account(app: Apps) -> None:
    async with wired(FOUND, *(issued() for _ in range(5))) as (client, wire):
        auth = app(client)
        await asyncio.gather(*(auth.token(f"acme/{name}") for name in "abcde"))
    assert [one for one in wire.asked if one.endswith("/installation")] == ["GET /repos/acme/a/installation"]


async def test_another_account_has_an_installation_of_its_own(app: Apps) -> None:
    async with wired(FOUND, issued(), answer(200, {"id": 43}), issued()) as (client, wire):
        auth = app(client)
        await auth.token("acme/a")
        await auth.token("other/a")
    assert wire.asked[2:] == ["GET /repos/other/a/installation", "POST /app/installations/43/access_tokens"]


@pytest.mark.parametrize("refusal", [said(404, "Not Found"), said(422, "There is at least one repository that ...")])
async def test_a_repository_that_its_accounts_installation_does_not_cover_is_looked_up_by_itself(
    app: Apps, refusal: httpx.Response
) -> None:
    async with wired(FOUND, issued(), refusal, said(404, "Not Found")) as (client, wire):
        auth = app(client)
        await auth.token("acme/a")
        with pytest.raises(Refused, match="not installed on acme/b"):
            await auth.token("acme/b")
    assert wire.asked[-1] == "GET /repos/acme/b/installation"


async def test_a_repository_that_has_moved_to_another_account_tells_nothing_about_its_former_one(app: Apps) -> None:
    moved = said(301, "Moved Permanently", location=f"{API_URL}/repositories/7/installation")
    async with wired(moved, answer(200, {"id": 99}), issued(), FOUND, issued()) as (client, wire):
        auth = app(client)
        await auth.token("acme/moved")
        await auth.token("acme/stays")
    assert wire.asked[-1] == "POST /app/installations/42/access_tokens"


async def test_a_signature_is_used_for_a_minute_and_not_where_the_clock_is_set_back(app: Apps, clock: Clock) -> None:
    async with wired(FOUND, issued(), issued(), issued(), issued()) as (client, wire):
        auth = app(client)
        for seconds, name in ((0, "a"), (59, "b"), (60, "c"), (-3600, "d")):
            clock.now = NOW + timedelta(seconds=seconds)
            await auth.token(f"acme/{name}")
    assert [wire.tokens.index(one) for one in wire.tokens] == [0, 0, 0, 3, 4]


@pytest.mark.parametrize("failing", [said(500, "x"), httpx.ConnectError("x"), said(429, "x"), httpx.ReadTimeout("")])
async def test_when_renewing_fails_the_old_token_is_used_while_it_holds(
    app: Apps, clock: Clock, failing: httpx.Response | Exception
) -> None:
    async with wired(FOUND, issued("ghs_1"), failing, failing) as (client, _):
        auth = app(client)
        await auth.token(REPO)
        clock.now = NOW + timedelta(minutes=58)
        assert await auth.token(REPO) == "ghs_1"
        clock.now = NOW + timedelta(minutes=61)
        with pytest.raises(CallError):
            await auth.token(REPO)


async def test_a_refused_token_is_renewed_from_scratch(app: Apps) -> None:
    reinstalled = answer(200, {"id": 43})
    async with wired(FOUND, issued("ghs_1"), reinstalled, issued("ghs_2")) as (client, wire):
        auth = app(client)
        assert await auth.renewed(REPO, await auth.token(REPO)) == "ghs_2"
        assert await auth.token(REPO) == "ghs_2"
    assert wire.asked[3] == "POST /app/installations/43/access_tokens"


async def test_tasks_that_were_refused_together_renew_once(app: Apps) -> None:
    async with wired(FOUND, issued("ghs_1"), FOUND, issued("ghs_2")) as (client, _):
        auth = app(client)
        old = await auth.token(REPO)
        assert await asyncio.gather(*[auth.renewed(REPO, old) for _ in range(5)]) == ["ghs_2"] * 5


@pytest.mark.parametrize("stale", [said(404, "Not Found"), said(422, "There is at least one repository that ...")])
async def test_an_installation_that_is_gone_is_looked_up_again(app: Apps, clock: Clock, stale: httpx.Response) -> None:
    found_anew = answer(200, {"id": 43})
    async with wired(FOUND, issued("ghs_1"), stale, found_anew, issued("ghs_2")) as (client, wire):
        auth = app(client)
        await auth.token(REPO)
        clock.now = NOW + timedelta(hours=2)
        assert await auth.token(REPO) == "ghs_2"
    assert wire.asked[-1] == "POST /app/installations/43/access_tokens"


async def test_a_renamed_repository_is_named_by_its_id(app: Apps) -> None:
    moved = said(301, "Moved Permanently", location=f"{API_URL}/repositories/7/installation")
    async with wired(moved, FOUND, issued()) as (client, wire):
        await app(client).token(REPO)
    assert wire.body()["repository_ids"] == [7]
    assert "repositories" not in wire.body()


async def test_the_credential_is_the_installation_and_asked_for_once(app: Apps) -> None:
    async with wired(FOUND, issued()) as (client, wire):
        auth = app(client)
        assert await auth.credential(REPO) == "installation:42"
        assert await auth.credential(REPO) == "installation:42"
        await auth.token(REPO)
    assert len(wire.requests) == 2


@pytest.mark.parametrize(
    ("responses", "kind", "words"),
    [
        ([said(404, "Not Found")], Refused, "not installed on acme/api"),
        ([page(404)], Unavailable, "wrong `api_url`"),
        ([said(404, "Integration not found")], CredentialRefused, "check `app_id`"),
        ([said(401, "A JSON web token could not be decoded")], CredentialRefused, "App 12345 .A JSON web token"),
        ([page(401)], Unavailable, "wrong `api_url`"),
        ([said(500, "x")], Unanswered, "500"),
        ([answer(200, {"id": "x"})], Unanswered, "id is not an integer"),
        (
            [FOUND, said(422, "The permissions requested are not granted to this installation.")],
            Refused,
            "give it both",
        ),
        ([FOUND, said(404, "Not Found")], Refused, "give it both"),
        ([FOUND, said(403, "This installation has been suspended")], Refused, "has been suspended"),
        ([FOUND, said(401, "'Expiration time' claim is too far in the future")], CredentialRefused, "clock"),
        ([FOUND, said(403, "slow", retry_after="3")], Throttled, "slow"),
        ([FOUND, page(201)], Unanswered, "not with a JSON object"),
        ([FOUND, answer(201, {"token": "x"})], Unanswered, "expires_at is missing"),
        ([FOUND, answer(201, {"token": "x", "expires_at": "soon"})], Unanswered, "makes no sense"),
        ([FOUND, answer(201, {"expires_at": "2026-01-01T13:00:00Z"})], Unanswered, "token is missing"),
        ([httpx.ConnectError("x")], Unreachable, "cannot reach"),
    ],
)
async def test_what_stands_in_the_way_of_a_token_is_told(
    app: Apps, responses: list[httpx.Response | Exception], kind: type[CallError], words: str
) -> None:
    async with wired(*responses) as (client, _):
        with pytest.raises(kind, match=words):
            await app(client).token(REPO)


async def test_a_failure_is_not_remembered(app: Apps) -> None:
    async with wired(said(404, "Not Found"), FOUND, issued("ghs_1")) as (client, _):
        auth = app(client)
        with pytest.raises(Refused):
            await auth.token(REPO)
        assert await auth.token(REPO) == "ghs_1"


async def test_the_app_tells_who_it_is(app: Apps) -> None:
    shown = {"slug": "image-builds", "permissions": {"statuses": "write", "metadata": "read"}, "events": ["push"]}
    async with wired(answer(200, shown)) as (client, _):
        account = await app(client).app()
    assert (account.slug, account.permissions, account.events) == ("image-builds", {"statuses": "write"}, ("push",))


@pytest.mark.parametrize(("response", "kind"), [(said(404, "Not Found"), CallError), (answer(200, {}), Unanswered)])
async def test_an_app_that_is_not_shown_is_an_error(app: Apps, response: httpx.Response, kind: type[CallError]) -> None:
    async with wired(response) as (client, _):
        with pytest.raises(kind):
            await app(client).app()


def pem_of(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> str:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


async def test_a_key_that_cannot_sign_is_a_mistake_at_once(private_key: rsa.RSAPrivateKey) -> None:
    wrong = ["", "nonsense", pem_of(ec.generate_private_key(ec.SECP256R1())), pem_of(private_key, b"password")]
    async with wired() as (client, _):
        for pem in wrong:
            with pytest.raises(ValueError, match="private key is not"):
                AppAuth(client, api_url=API_URL, app_id=1, private_key_pem=pem)


async def test_neither_key_nor_token_shows_in_the_repr(app: Apps) -> None:
    async with wired(FOUND, issued("ghs_hush")) as (client, _):
        auth = app(client)
        await auth.token(REPO)
        assert "ghs_hush" not in repr(auth) + repr(vars(auth))
