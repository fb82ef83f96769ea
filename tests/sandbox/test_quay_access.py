"""Scopes, roles and tokens, by the recorded table of rights."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from buildbot.sandbox.quay_access import Access, Grant, Repository, Role
from tests.sandbox.quay_world import ARCHIVE, World

pytestmark = pytest.mark.anyio

OPERATIONS = ("list", "build", "status", "logs", "request", "cancel")
# facts: who gets what of the six operations
TABLE = {
    "FULL": (200, 200, 200, 200, 201, 201),
    "ADMIN": (200, 200, 200, 200, 201, 201),
    "WRITE": (200, 200, 200, 200, 201, 403),
    "READ": (200, 200, 200, 403, 403, 403),
    "CREATE": (403, 403, 403, 403, 403, 403),
    "CAROL_READER_FULL": (200, 200, 200, 403, 403, 403),
    "DAVE_WRITER_FULL": (200, 200, 200, 200, 201, 403),
    "BOB_FULL": (403, 403, 403, 403, 403, 403),
    "SUPER": (403, 403, 403, 403, 403, 403),
    "EXPIRED": (401, 401, 401, 401, 403, 403),
    "BADSCOPE": (500, 500, 500, 500, 500, 500),
}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()


@pytest.mark.parametrize("token", TABLE)
async def test_rights_are_those_of_the_recorded_table(world: World, token: str) -> None:
    build = await world.request()
    path = f"/acme/app/build/{build.id}"
    answers = [
        await world.ask("GET", "/acme/app/build/", token),
        await world.ask("GET", path, token),
        await world.ask("GET", f"{path}/status", token),
        await world.ask("GET", f"{path}/logs", token),
        await world.ask("POST", "/acme/app/build/", token, json={"archive_url": ARCHIVE}),
        await world.ask("DELETE", path, token),
    ]
    assert tuple(it.status_code for it in answers) == TABLE[token]


async def test_a_revoked_token_is_none_at_all(world: World) -> None:
    assert (await world.ask("GET", "/acme/app/build/")).status_code == 200
    world.quay.revoke_token(world.tokens["FULL"])
    world.quay.revoke_token("never issued")
    assert (await world.ask("GET", "/acme/app/build/")).status_code == 401
    csrf = await world.ask("POST", "/acme/app/build/", json={})
    assert (csrf.status_code, csrf.json()) == (403, {"error": "CSRF token was invalid or missing."})


def test_a_token_has_40_letters_and_digits_and_is_a_new_one_each_time() -> None:
    access = Access()
    tokens = {access.issue("alice", frozenset({"repo:read"})) for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(it) == 40 and it.isalnum() and it.isascii() for it in tokens)


@pytest.mark.parametrize(
    ("where", "role", "repository", "expected"),
    [
        ("acme", Role.ADMIN, "acme/missing", Role.ADMIN),
        ("acme", Role.WRITE, "acme/missing", Role.NONE),
        ("acme", Role.WRITE, "acme/app", Role.WRITE),
        ("acme/app", Role.READ, "acme/app", Role.READ),
        ("acme/app", Role.ADMIN, "acme/other", Role.NONE),
        ("acme/app", Role.ADMIN, "acme2/app", Role.NONE),
    ],
)
def test_a_role_reaches_as_far_as_it_was_given(where: str, role: Role, repository: str, expected: Role) -> None:
    access = Access({name: Repository(name) for name in ("acme/app", "acme/other", "acme2/app")})
    access.set_role(where, "alice", role)
    assert access.role(Grant("alice", frozenset({"repo:admin"})), repository) == expected


def test_passwords_are_never_shown() -> None:
    access = Access()
    access.add_account("alice", "a password")
    assert "a password" not in repr(access)
