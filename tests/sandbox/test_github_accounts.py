"""Tokens, Apps and their web tokens, and how far each of them reaches."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest

from buildbot.sandbox.github import GitHub
from buildbot.sandbox.github_accounts import App, level
from tests.sandbox.github_world import BOT_URL, World, bearer


def web_token(world: World, app: App, **claims: Any) -> str:
    now = int(world.clock().timestamp())
    assert app.private_key is not None
    wanted = {"iat": now - 60, "exp": now + 540, "iss": str(app.id)} | claims
    return jwt.encode({name: value for name, value in wanted.items() if value is not None}, app.private_key, "RS256")


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    # Making a key pair takes a while, so these tests share one.
    app = GitHub().add_app()
    assert app.private_key is not None
    return app.public_key, app.private_key


# Levels


@pytest.mark.parametrize(
    ("private", "scopes", "role", "permission", "expected"),
    [
        (False, (), "none", "contents", "read"),
        (False, (), "none", "repository_hooks", "none"),
        (False, ("public_repo",), "write", "contents", "write"),
        (True, ("public_repo",), "write", "contents", "none"),
        (True, ("repo",), "write", "contents", "write"),
        (True, ("repo:status",), "write", "statuses", "write"),
        (True, ("repo:status",), "write", "contents", "none"),
        (True, ("repo",), "read", "statuses", "read"),
        (True, ("repo",), "write", "repository_hooks", "none"),
        (True, ("admin:repo_hook",), "admin", "repository_hooks", "admin"),
    ],
)
def test_a_classic_token_reaches_as_far_as_its_scopes_and_its_owners_role(
    private: bool, scopes: tuple[str, ...], role: str, permission: str, expected: str
) -> None:
    github = GitHub()
    it = github.add_repository("acme/api", private=private)
    github.add_collaborator(it, "ci-bot", role)
    assert level(github.accounts.issue_classic("ci-bot", scopes), it, permission) == expected


@pytest.mark.parametrize(
    ("permissions", "role", "permission", "expected"),
    [
        ({"statuses": "write"}, "write", "statuses", "write"),
        ({"statuses": "write"}, "read", "statuses", "read"),
        ({"statuses": "read"}, "admin", "statuses", "read"),
        ({"statuses": "write"}, "none", "statuses", "none"),
        ({"statuses": "write"}, "write", "contents", "none"),
        ({}, "write", "metadata", "read"),
    ],
)
def test_a_fine_grained_token_reaches_as_far_as_both_permission_and_role(
    permissions: dict[str, str], role: str, permission: str, expected: str
) -> None:
    github = GitHub()
    it = github.add_repository("acme/api", private=True)
    github.add_collaborator(it, "ci-bot", role)
    assert level(github.accounts.issue_fine_grained("ci-bot", permissions), it, permission) == expected


def test_no_credential_prints_its_token() -> None:
    github = GitHub()
    credential = github.accounts.issue_classic("ci-bot", ("repo",))
    app = github.add_app(hook_url=BOT_URL, secret="s3cr3t")
    assert credential.token not in repr(credential)
    assert "PRIVATE" not in repr(app)
    assert "s3cr3t" not in repr(github.state.hooks)


# Web tokens of Apps


@pytest.mark.anyio
@pytest.mark.parametrize("issuer", ["id", "client_id"])
async def test_an_app_proves_itself_by_id_or_client_id(world: World, issuer: str) -> None:
    app = world.github.add_app("my-app")
    answer = await world.api.get("/app", headers=bearer(web_token(world, app, iss=str(getattr(app, issuer)))))
    assert (answer.status_code, answer.json()["slug"]) == (200, "my-app")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"exp": 661}, "too far in the future"),
        ({"exp": 0}, "must be a numeric value representing the future time"),
        ({"exp": None}, "must be a numeric value representing the future time"),
        ({"iat": 120}, "must be an Integer representing the time that the assertion was issued"),
        ({"iat": None}, "must be an Integer representing the time that the assertion was issued"),
    ],
)
async def test_a_web_token_with_wrong_times_is_refused(
    world: World, keys: tuple[str, str], claims: dict[str, int | None], said: str
) -> None:
    app = world.github.add_app(public_key=keys[0])
    now = int(world.clock().timestamp())
    times = {name: None if offset is None else now - 60 + offset for name, offset in claims.items()}
    wanted = {"iat": now - 60, "exp": now + 540, "iss": str(app.id)} | times
    token = jwt.encode({name: value for name, value in wanted.items() if value is not None}, keys[1], "RS256")
    answer = await world.api.get("/app", headers=bearer(token))
    assert answer.status_code == 401
    assert said in answer.json()["message"]


@pytest.mark.anyio
async def test_ten_minutes_ahead_are_just_allowed(world: World) -> None:
    app = world.github.add_app()
    exp = int(world.clock().timestamp()) + 600
    assert (await world.api.get("/app", headers=bearer(web_token(world, app, exp=exp)))).status_code == 200


@pytest.mark.anyio
async def test_a_web_token_signed_by_another_key_or_of_an_unknown_app_is_refused(
    world: World, keys: tuple[str, str]
) -> None:
    app, other = world.github.add_app(), world.github.add_app("other", public_key=keys[0])
    forged = web_token(world, app, iss=str(other.id))
    unknown = web_token(world, app, iss="1")
    answers = [await world.api.get("/app", headers=bearer(one)) for one in (forged, unknown, "nonsense")]
    assert [one.status_code for one in answers] == [401, 401, 401]
    assert "could not be decoded" in answers[0].json()["message"]
    assert "'Issuer' claim ('iss')" in answers[1].json()["message"]


@pytest.mark.anyio
async def test_an_ordinary_token_is_no_web_token_and_a_web_token_no_ordinary_one(world: World) -> None:
    app = world.github.add_app()
    token = world.github.issue_token("ci-bot")
    assert (await world.api.get("/app", headers=bearer(token))).status_code == 401
    assert (await world.api.get("/app")).status_code == 401
    assert (await world.api.get("/repos/acme/api", headers=bearer(web_token(world, app)))).status_code == 401


# Installations


async def access_token(world: World, app: App, **body: object) -> httpx.Response:
    found = await world.api.get("/repos/acme/api/installation", headers=bearer(web_token(world, app)))
    path = f"/app/installations/{found.json()['id']}/access_tokens"
    return await world.api.post(path, json=body, headers=bearer(web_token(world, app)))


@pytest.mark.anyio
async def test_an_app_finds_its_installation_and_gets_a_token_that_writes_statuses(world: World) -> None:
    app = world.github.add_app()
    world.github.install(app, "acme")
    made = await access_token(world, app)
    assert made.status_code == 201
    assert made.json()["expires_at"] == "2026-03-01T13:00:00Z"
    assert made.json()["repository_selection"] == "all"
    assert (await world.post_status(made.json()["token"])).status_code == 201


@pytest.mark.anyio
async def test_an_installation_token_expires_and_is_then_a_bad_credential(world: World) -> None:
    app = world.github.add_app()
    world.github.install(app, "acme")
    world.github.accounts.installation_token_lifetime = timedelta(minutes=5)
    token = (await access_token(world, app)).json()["token"]
    world.clock.turn(minutes=5)
    answer = await world.post_status(token)
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")
    assert (await world.post_status((await access_token(world, app)).json()["token"])).status_code == 201


@pytest.mark.anyio
async def test_a_narrowed_token_reaches_only_what_was_asked_for(world: World) -> None:
    world.github.add_repository("acme/other", private=True)
    app = world.github.add_app()
    world.github.install(app, "acme")
    made = await access_token(world, app, repositories=["api"], permissions={"statuses": "write"})
    assert (made.json()["permissions"], made.json()["repository_selection"]) == ({"statuses": "write"}, "selected")
    headers = bearer(made.json()["token"])
    assert (await world.api.get("/repos/acme/other", headers=headers)).status_code == 404
    assert (await world.post_status(made.json()["token"])).status_code == 201


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        {"permissions": {"statuses": "admin"}},
        {"permissions": {"checks": "write"}},
        {"repositories": ["nothing"]},
        {"repository_ids": [1]},
    ],
)
async def test_a_token_beyond_what_was_granted_is_refused(world: World, body: dict[str, object]) -> None:
    app = world.github.add_app()
    world.github.install(app, "acme", ["acme/api"])
    assert (await access_token(world, app, **body)).status_code == 422


@pytest.mark.anyio
async def test_an_app_that_is_not_installed_finds_nothing_and_none_finds_anothers_installation(world: World) -> None:
    app, other = world.github.add_app(), world.github.add_app("other")
    installation = world.github.install(other, "acme")
    headers = bearer(web_token(world, app))
    assert (await world.api.get("/repos/acme/api/installation", headers=headers)).status_code == 404
    path = f"/app/installations/{installation.id}/access_tokens"
    assert (await world.api.post(path, headers=headers)).status_code == 404


@pytest.mark.anyio
async def test_an_installation_on_some_repositories_does_not_cover_the_others(world: World) -> None:
    other = world.github.add_repository("acme/other")
    app = world.github.add_app()
    world.github.install(app, "acme", [other])
    answer = await world.api.get("/repos/acme/api/installation", headers=bearer(web_token(world, app)))
    assert answer.status_code == 404


@pytest.mark.anyio
async def test_a_renamed_repositorys_installation_is_found_through_the_redirect(world: World) -> None:
    app = world.github.add_app()
    installation = world.github.install(app, "acme")
    world.github.rename("acme/api", "acme/service")
    headers = bearer(web_token(world, app))
    moved = await world.api.get("/repos/acme/api/installation", headers=headers)
    assert moved.status_code == 301
    assert (await world.api.get(moved.headers["location"], headers=headers)).json()["id"] == installation.id


@pytest.mark.anyio
async def test_an_app_sees_its_deliveries_and_may_have_one_sent_again(world: World) -> None:
    app = world.github.add_app(hook_url=BOT_URL)
    world.github.install(app, "acme")
    await world.github.commit_and_push("acme/api")
    headers = bearer(web_token(world, app))
    [seen] = (await world.api.get("/app/hook/deliveries", headers=headers)).json()
    again = await world.api.post(f"/app/hook/deliveries/{seen['id']}/attempts", headers=headers)
    assert again.status_code == 202
    assert [one.guid for one in world.bot.received] == [seen["guid"], seen["guid"]]
