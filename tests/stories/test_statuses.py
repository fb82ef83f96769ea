"""What people read on their commits, and what GitHub may do meanwhile: be away, refuse, limit, forget, rename."""

from __future__ import annotations

from typing import Any

import pytest

from buildbot.sandbox.git_repository import Status
from buildbot.sandbox.github import Push
from tests.stories.world import BRISK, REPOSITORY, RULE, World, until

pytestmark = pytest.mark.anyio

BURST = 20


@pytest.fixture
async def world(world: World) -> World:
    """A Quay in a hurry."""
    world.setting.registry = BRISK
    world.quay.speed = 200
    return world


async def push(world: World, message: str = "Change a thing", ref: str | None = None, **more: Any) -> Push:
    return await world.github.commit_and_push(REPOSITORY, message=message, ref=ref, **more)


def posts(world: World) -> list[int]:
    """How GitHub answered each status that was posted."""
    return [call.status for call in world.github.calls if call.method == "POST" and "/statuses/" in call.path]


def states(world: World, pushed: Push, context: str = "quay/api") -> list[str]:
    return [one.state for one in world.statuses(pushed.sha, context)]


def texts(world: World, pushed: Push, context: str = "quay/api") -> list[str]:
    return [one.description or "" for one in world.statuses(pushed.sha, context)]


async def ended(world: World, *pushes: Push) -> None:
    for one in pushes:
        await world.until_build(one, lambda build: bool(build["is_final"]))


# ── what is said ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def let_it_say(world: World, pushed: Push, word: str, text: str) -> None:
    """Let Quay's build be in a phase until the commit tells of it, a minute later."""
    world.quay.builds[0].stored_phase = word
    await world.until_build(pushed, lambda build: bool(build["quay_phase"] == word and build["status"]["posted"]))
    world.watch.forward(61)
    await world.until_build(pushed, lambda build: build["status"]["posted"]["description"].startswith(text))
    assert texts(world, pushed)[-1].startswith(text)


async def test_a_build_has_at_most_four_writes_however_much_happens_to_it(world: World) -> None:
    world.quay.choose = lambda _: "hang"
    async with world.bot():
        pushed = await push(world)
        await until(
            lambda: bool(world.statuses(pushed.sha)) and [one.phase for one in world.quay.builds] == ["building"]
        )
        await let_it_say(world, pushed, "building", "Building acme/api:main")
        await let_it_say(world, pushed, "internalerror", "Attempt 1 failed, Quay retries")
        world.quay.faults.on("redis-down")
        await world.until_build(pushed, lambda build: "no word from Quay" in build["description"])
        world.watch.forward(61)
        world.quay.faults.off()
        world.quay.builds[0].stored_phase = "complete"
        assert (await world.final_status(pushed.sha)).state == "success"
    *pendings, final = states(world, pushed)
    assert final == "success"
    assert set(pendings) == {"pending"}
    assert len(pendings) in {2, 3}  # the first word may already be "Building"


async def test_a_description_fits_and_a_context_follows_its_template(world: World) -> None:
    world.setting.rules = RULE.replace('"sha-', f'"{"x" * 100}-') + '\nstatus_context = "images/{rule}/{branch}"'
    async with world.bot():
        pushed = await push(world, ref=f"release/{'y' * 60}")
        context = f"images/api/release/{'y' * 60}"
        assert (await world.final_status(pushed.sha, context)).state == "success"
    assert max(map(len, texts(world, pushed, context))) == 140
    assert (
        world.statuses(pushed.sha, context)[-1].target_url
        == f"https://builds.example.com/builds/{world.built_by(pushed)[0]}"
    )


async def test_without_a_public_url_details_lead_to_quays_page(world: World) -> None:
    world.setting.public_url = ""
    async with world.bot():
        status = await world.final_status((await push(world)).sha)
    assert status.target_url == f"{world.quay.url}/repository/{REPOSITORY}/build/{world.quay.builds[0].id}"


async def test_of_two_builds_of_one_commit_the_one_planned_last_speaks(world: World) -> None:
    world.quay.speed = 0.001
    async with world.bot():
        first = await push(world, ref="release/1")
        await until(lambda: bool(world.statuses(first.sha)))
        second = await world.github.push_ref(REPOSITORY, "refs/heads/release/2", first.sha)
        assert second.sha == first.sha
        await until(lambda: "release-2" in texts(world, second)[-1] or "release/2" in texts(world, second)[-1])
        world.quay.speed = 500
        await ended(world, first, second)
        status = await world.final_status(second.sha)
    assert (status.description or "").startswith("Built acme/api:release-2")
    assert states(world, first).count("success") == 1


# ── a GitHub that is away, or does not take it ───────────────────────────────────────────────────────────────────────


async def test_while_github_is_away_builds_go_on_and_only_their_ends_are_told_later(world: World) -> None:
    world.github.faults.down()
    async with world.bot():
        pushes = [await push(world, ref=f"release/{number}") for number in range(3)]
        await ended(world, *pushes)
        assert posts(world).count(201) == 0
        world.github.faults.up()
        world.watch.forward(61)
        for one in pushes:
            assert (await world.final_status(one.sha)).state == "success"
    assert [set(states(world, one)) for one in pushes] == [{"success"}] * 3


async def test_a_status_that_the_forge_never_takes_is_given_up_after_a_day_and_says_so(world: World) -> None:
    world.github.faults.fail(500, 100_000, on="/statuses/")
    async with world.bot():
        pushed = await push(world)
        await ended(world, pushed)
        await until(lambda: posts(world).count(500) >= 1)
        world.watch.forward(86_401)
        build = await world.until_build(pushed, lambda build: bool(build["status"]["stopped"]))
        assert build["status"]["stopped"].startswith("not taken for 24 h: ")


@pytest.mark.parametrize("fault", ["lose before", "lose after", "502", "nonsense"])
async def test_a_status_whose_posting_fails_is_delivered_all_the_same(world: World, fault: str) -> None:
    faults = world.github.faults
    match fault:
        case "lose before":
            faults.lose(2, on="/statuses/")
        case "lose after":
            faults.lose(2, after=True, on="/statuses/")
        case "502":
            faults.fail(502, 2, on="/statuses/")
        case _:
            faults.nonsense(2, on="/statuses/")
    async with world.bot():
        pushed = await push(world)
        await ended(world, pushed)
        world.watch.forward(61)
        assert (await world.final_status(pushed.sha)).state == "success"
    assert states(world, pushed)[-1] == "success"


def asked(world: World) -> list[Any]:
    """The calls that were about statuses: whose credential it is, and the posts."""
    return [call for call in world.github.calls if "/contents/" not in call.path]


async def test_a_refused_credential_is_paused_as_a_whole_and_probed_once_a_minute(world: World) -> None:
    token = world.environ["GITHUB_TOKEN"]
    world.github.faults.revoke(token)
    async with world.bot():
        pushes = [await push(world)]
        await world.until_build(pushes[0], lambda build: bool(build["status"]["delayed"]))
        assert len(asked(world)) == 1
        pushes += [await push(world, ref=f"release/{number}") for number in range(3)]
        await ended(world, *pushes)
        assert len(asked(world)) == 1
        world.watch.forward(61)
        await until(lambda: len(asked(world)) == 2)
        pushes.append(await push(world, ref="release/last"))
        await ended(world, pushes[-1])
        assert [call.status for call in asked(world)] == [401, 401]
        assert len(world.github.calls) == 3, "besides, the source was looked at once"
        world.github.accounts.issue_classic("ci-bot", ["repo:status"], token)
        world.watch.forward(61)
        for one in pushes:
            assert (await world.final_status(one.sha)).state == "success"


async def test_a_secondary_limit_is_obeyed_to_the_second_it_names(world: World) -> None:
    async with world.bot():
        first = await push(world)
        assert (await world.final_status(first.sha)).state == "success"
        world.github.faults.secondary_limit(retry_after=300)
        second = await push(world, ref="release/2")
        await until(lambda: posts(world)[-1] == 403)
        third = await push(world, ref="release/3")
        await ended(world, second, third)
        calls = len(world.github.calls)
        world.watch.forward(200)
        await ended(world, await push(world, ref="release/4"))
        assert len(world.github.calls) == calls
        world.watch.forward(101)
        for one in (second, third):
            assert (await world.final_status(one.sha)).state == "success"


async def test_a_used_up_hour_is_waited_for(world: World) -> None:
    world.github.faults.use_up_rate_limit("ci-bot")
    async with world.bot():
        pushed = await push(world)
        await until(lambda: bool(world.github.calls))
        await ended(world, pushed)
        assert states(world, pushed) == []
        world.github.state.limits.used.clear()
        world.watch.forward(3601)
        assert (await world.final_status(pushed.sha)).state == "success"


# ── commits, names and limits ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_commit_that_github_does_not_find_yet_is_tried_again(world: World) -> None:
    world.github.faults.unreplicated(REPOSITORY, times=2)
    async with world.bot():
        pushed = await push(world)
        await until(lambda: 422 in posts(world))
        assert (await world.final_status(pushed.sha)).state == "success"
    assert posts(world).count(422) == 2


async def test_a_commit_that_is_not_there_for_minutes_is_given_up_with_the_reason(world: World) -> None:
    world.github.faults.unreplicated(REPOSITORY, times=1000)
    async with world.bot():
        pushed = await push(world)
        await until(lambda: posts(world).count(422) >= 2)
        world.watch.forward(121)
        build = await world.until_build(pushed, lambda build: bool(build["status"]["stopped"]))
        await ended(world, pushed)
    assert "the commit is not there" in build["status"]["stopped"]


async def test_a_context_that_is_full_ends_its_story_with_the_reason(world: World) -> None:
    sha = (await push(world, ref="feature")).sha
    now = world.github.state.now()
    full = [Status(number, sha, "pending", None, None, "quay/api", "ci-bot", now) for number in range(1000)]
    world.github.repository(REPOSITORY).statuses.extend(full)
    async with world.bot():
        pushed = await world.github.push_ref(REPOSITORY, "refs/heads/main", sha)
        build = await world.until_build(pushed, lambda build: bool(build["status"]["stopped"]))
        await ended(world, pushed)
    assert "maximum number of statuses" in build["status"]["stopped"]
    assert posts(world) == [422]


async def test_a_repository_that_was_renamed_is_followed(world: World) -> None:
    async with world.bot():
        pushed = await push(world, deliver=False)
        world.github.rename(REPOSITORY, "acme/interface")
        await world.github.flush()
        assert (await world.final_status(pushed.sha)).state == "success"
    assert 301 in [call.status for call in world.github.calls] or 307 in [call.status for call in world.github.calls]


async def write_one_more(world: World) -> None:
    written = posts(world).count(201)
    world.watch.forward(61)
    await until(lambda: posts(world).count(201) == written + 1)


async def test_finals_go_before_pendings_when_writes_are_short(world: World) -> None:
    world.setting.forge = "writes_per_minute = 1"
    world.quay.choose = lambda _: "hang"
    async with world.bot():
        pushes = [await push(world, ref=f"release/{number}") for number in range(BURST + 2)]
        await until(lambda: posts(world).count(201) == BURST)
        told = next(one for one in pushes if states(world, one))
        untold = [one for one in pushes if not states(world, one)]
        await until(lambda: len(world.quay.builds) == len(pushes))
        ending = next(build for build in world.quay.builds if told.sha in (build.archive_url or ""))
        ending.stored_phase = "complete"
        await ended(world, told)
        await world.until_build(told, lambda build: bool(build["status"]["delayed"]))
        await write_one_more(world)
        assert states(world, told) == ["pending", "success"]
        assert [states(world, one) for one in untold] == [[], []]
        while not all(states(world, one) for one in untold):
            await write_one_more(world)


# ── an App ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def act_as_app(world: World, *, is_installed: bool = True) -> None:
    app = world.github.add_app()
    if is_installed:
        world.github.install(app, "acme")
    key = world.folder / "app.pem"
    key.write_text(app.private_key or "")
    world.setting.credential = f'app_id = {app.id}\nprivate_key = "file:{key}"'


async def test_an_app_posts_with_one_token_of_its_installation(world: World) -> None:
    act_as_app(world)
    async with world.bot():
        pushes = [await push(world, ref=f"release/{number}") for number in range(3)]
        for one in pushes:
            assert (await world.final_status(one.sha)).state == "success"
    paths = [call.path for call in world.github.calls]
    assert len([path for path in paths if path.endswith("/access_tokens")]) == 1
    assert len([path for path in paths if path.endswith("/installation")]) == 1


async def test_an_installation_token_that_github_refuses_is_renewed_once(world: World) -> None:
    act_as_app(world)
    async with world.bot():
        first = await push(world)
        assert (await world.final_status(first.sha)).state == "success"
        for token, credential in list(world.github.accounts._credentials.items()):
            if credential.kind == "installation":
                world.github.faults.revoke(token)
        second = await push(world, ref="release/2")
        assert (await world.final_status(second.sha)).state == "success"
    assert posts(world).count(401) == 1


async def test_an_app_that_is_not_installed_builds_and_says_why_nobody_hears_of_it(world: World) -> None:
    act_as_app(world, is_installed=False)
    async with world.bot():
        pushed = await push(world)
        await ended(world, pushed)
        build = await world.until_build(pushed, lambda build: bool(build["status"]["stopped"]))
    assert build["phase"] == "succeeded"
    assert "the GitHub App is not installed on acme/api" in build["status"]["stopped"]
