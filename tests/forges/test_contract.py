"""What holds of every forge: its deliveries as they are read, and its adapter against its sandbox. One file for all."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest

from buildbot.domain.push import Ignored, RefKind
from buildbot.domain.status import CommitStatus, StatusState
from buildbot.ports import (
    BadSignature,
    CallError,
    CredentialRefused,
    ListedRef,
    Refused,
    Unanswered,
    Unavailable,
    Unreachable,
    Vanished,
)
from buildbot.sandbox.git_repository import Change
from tests.forges.bitbucket.world import BitbucketWorld
from tests.forges.bitbucket_datacenter.world import BitbucketDataCenterWorld
from tests.forges.gitea.world import ForgejoWorld, GiteaWorld
from tests.forges.github.world import GitHubWorld
from tests.forges.gitlab.world import GitLabWorld
from tests.forges.world import REPO, SECRET, ForgeWorld, Shown, wire_headers

pytestmark = pytest.mark.anyio
NO_SUCH = "d" * 40
LINKED = "e" * 40
PAGE = "https://builds.test/builds/1"
PENDING = CommitStatus(StatusState.PENDING, "queued at Quay", PAGE, "queued")
BUILDING = CommitStatus(StatusState.PENDING, "building", PAGE, "building")
SUCCESS = CommitStatus(StatusState.SUCCESS, "built", PAGE)
WORLDS = (GitHubWorld, GitLabWorld, GiteaWorld, ForgejoWorld, BitbucketWorld, BitbucketDataCenterWorld)


@pytest.fixture(params=WORLDS, ids=lambda kind: kind.name)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[ForgeWorld]:
    kind = request.param
    sandbox = kind.new_sandbox()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(sandbox.app)) as client:
        yield kind(client, sandbox)


# Deliveries


def take_in(world: ForgeWorld, headers: Mapping[str, bytes], body: bytes, *secrets: bytes) -> None:
    verifier = world.webhook.verifier(headers, secrets)
    verifier.update(body)
    verifier.check()


async def test_a_push_to_a_branch_is_read_with_its_commit(world: ForgeWorld) -> None:
    world.add_hook(SECRET)
    before = world.head
    push = await world.sandbox.commit_and_push(REPO, message="Mend it", by="ada", deliver=False)
    read = world.read(push)
    assert (read.ref, read.kind, read.before, read.after) == ("refs/heads/main", RefKind.BRANCH, before, push.sha)
    assert (read.commit, read.message, read.pusher, read.is_deletion) == (push.sha, "Mend it", "ada", False)
    assert (read.source.forge, read.source.full_name, read.source.private) == (world.name, REPO, False)
    assert read.source.repository_id == world.repository_id()


async def test_a_private_repository_is_told_to_be_one(world: ForgeWorld) -> None:
    world.add_hook(SECRET)
    world.hide()
    assert world.read(await world.sandbox.commit_and_push(REPO, deliver=False)).source.private


@pytest.mark.parametrize("name", ["fix/#7-größe", "release/1.2", "v2", "a+b@c%d&e"])
async def test_branches_may_be_called_anything(world: ForgeWorld, name: str) -> None:
    world.add_hook(SECRET)
    push = await world.sandbox.commit_and_push(REPO, ref=name, deliver=False)
    read = world.read(push)
    assert (read.kind, read.ref_name, read.before) == (RefKind.BRANCH, name, None)
    assert await world.forge.head(REPO, read.ref) == push.sha


@pytest.mark.parametrize("annotated", [False, True])
async def test_the_commit_behind_a_tag_is_found(world: ForgeWorld, annotated: bool) -> None:
    world.add_hook(SECRET)
    push = await world.sandbox.push_tag(REPO, "v1.2/rc#1", annotated=annotated, deliver=False)
    read = world.read(push)
    told = push.after if world.tells_tag_objects else push.sha
    assert (read.kind, read.ref_name, read.after) == (RefKind.TAG, "v1.2/rc#1", told)
    assert (push.after != push.sha) is annotated
    assert read.commit in {push.sha, None}
    assert await world.forge.commit_of_tag(REPO, push.after) == push.sha
    assert await world.forge.head(REPO, read.ref) == push.sha


async def test_a_deleted_branch_is_read_as_deleted(world: ForgeWorld) -> None:
    world.add_hook(SECRET)
    pushed = await world.sandbox.commit_and_push(REPO, ref="topic", deliver=False)
    read = world.read(await world.sandbox.delete_ref(REPO, "topic", deliver=False))
    assert (read.is_deletion, read.after, read.commit) == (True, None, None)
    assert read.before in {pushed.sha, None}  # Gitea's event does not tell


async def test_a_delivery_is_good_only_with_one_of_the_secrets(world: ForgeWorld) -> None:
    world.add_hook(SECRET)
    push = await world.sandbox.commit_and_push(REPO, deliver=False)
    (delivery,) = push.deliveries
    headers = wire_headers(world.headers(delivery))
    take_in(world, headers, delivery.body, b"another", SECRET.encode())
    with pytest.raises(BadSignature):
        take_in(world, headers, delivery.body, b"another")
    with pytest.raises(BadSignature):
        world.webhook.verifier({"content-type": b"application/json"}, [SECRET.encode()])


async def test_a_delivery_keeps_its_id_when_it_is_sent_again(world: ForgeWorld) -> None:
    world.add_hook(SECRET)
    (delivery,) = (await world.sandbox.commit_and_push(REPO, deliver=False)).deliveries
    ids = {world.webhook.identify(wire_headers(world.headers(delivery)))[0] for _ in range(2)}
    assert len(ids) == 1


async def test_other_events_are_ignored_with_a_reason(world: ForgeWorld) -> None:
    read = world.webhook.read("weather", {})
    assert isinstance(read, Ignored)
    assert "weather" in read.reason


# Statuses


async def test_a_status_goes_from_pending_to_its_end(world: ForgeWorld) -> None:
    for status in (PENDING, BUILDING, SUCCESS):
        await world.post(world.target(world.head), status)
        assert world.shown(world.head) == [Shown(status.state, "quay/api", status.description, PAGE)]


@pytest.mark.parametrize("status", [PENDING, BUILDING, SUCCESS])
async def test_a_status_may_be_posted_twice(world: ForgeWorld, status: CommitStatus) -> None:
    for _ in range(2):
        await world.post(world.target(world.head), status)
    assert [one.state for one in world.shown(world.head)] == [status.state]


async def test_a_new_build_of_a_commit_is_pending_again(world: ForgeWorld) -> None:
    for status in (SUCCESS, PENDING, CommitStatus(StatusState.FAILURE, "failed")):
        await world.post(world.target(world.head), status)
        assert world.shown(world.head)[-1].description == status.description


async def test_an_error_shows_as_one_and_is_not_pending(world: ForgeWorld) -> None:
    await world.post(world.target(world.head), CommitStatus(StatusState.ERROR, "cannot build"))
    (shown,) = world.shown(world.head)
    assert shown.state in {StatusState.ERROR, StatusState.FAILURE}


async def test_a_commit_that_is_not_there_has_vanished(world: ForgeWorld) -> None:
    with pytest.raises(Vanished):
        await world.post(world.target(NO_SUCH), PENDING)


async def test_a_repository_that_the_token_does_not_see_is_a_refusal(world: ForgeWorld) -> None:
    world.hide()
    world.forge = world.forge_with(world.token_of("stranger"))
    with pytest.raises(Refused):
        await world.post(world.target(world.head), PENDING)


async def test_a_wrong_token_is_refused_as_a_whole(world: ForgeWorld) -> None:
    world.forge = world.forge_with("wr0ng-wr0ng-wr0ng-wr0ng")
    with pytest.raises(CredentialRefused) as caught:
        await world.post(world.target(world.head), PENDING)
    assert "wr0ng" not in str(caught.value)
    with pytest.raises(CredentialRefused):
        await world.forge.repository(REPO)


async def test_a_status_follows_a_rename(world: ForgeWorld) -> None:
    sha = world.head
    world.rename("acme/service")
    await world.post(world.target(sha), PENDING)
    assert [one.state for one in world.shown(sha)] == [StatusState.PENDING]


async def test_a_lost_answer_to_a_status_is_told_apart_from_no_connection(world: ForgeWorld) -> None:
    world.faults.lose(after=True)
    with pytest.raises(Unanswered):
        await world.post(world.target(world.head), PENDING)
    await world.post(world.target(world.head), PENDING)
    world.faults.down()
    with pytest.raises(Unreachable):
        await world.post(world.target(world.head), SUCCESS)


async def test_a_page_in_place_of_an_answer_is_no_refusal(world: ForgeWorld) -> None:
    world.faults.nonsense()
    with pytest.raises((Unanswered, Unavailable)):
        await world.post(world.target(world.head), PENDING)


async def test_the_budget_is_the_users(world: ForgeWorld) -> None:
    assert await world.forge.credential(REPO) == world.budget
    other = world.forge_with(world.token_of("ci-bot"))
    assert await other.credential(REPO) == world.budget


# Reading


async def test_a_repository_is_described_and_found_under_its_former_name(world: ForgeWorld) -> None:
    described = await world.forge.repository(REPO)
    assert (described.full_name, described.private, described.default_branch) == (REPO, False, "main")
    assert described.id == world.repository_id()
    world.hide()
    world.rename("acme/service")
    again = await world.forge.repository(REPO)
    assert (again.id, again.full_name, again.private) == (described.id, "acme/service", True)


async def test_what_is_not_there_has_vanished(world: ForgeWorld) -> None:
    for question in (
        world.forge.head(REPO, "refs/heads/gone"),
        world.forge.head(REPO, "refs/tags/gone"),
        world.forge.commit_of_tag(REPO, NO_SUCH),
        world.forge.repository("acme/gone"),
    ):
        with pytest.raises(Vanished):
            await question


async def test_a_read_survives_what_passes(world: ForgeWorld) -> None:
    world.faults.lose(times=1)
    world.faults.fail(502, times=1)
    assert await world.forge.head(REPO, "refs/heads/main") == world.head


async def test_changed_paths_are_the_difference_of_the_trees(world: ForgeWorld) -> None:
    before = world.head
    await world.sandbox.commit_and_push(REPO, files={"a.txt": "1", "docs/größe #1.md": "x"}, deliver=False)
    middle = world.head
    await world.sandbox.commit_and_push(REPO, files={"a.txt": "2", "Dockerfile": None}, deliver=False)
    assert await world.forge.changed_paths(REPO, middle, world.head) == ("Dockerfile", "a.txt")
    assert await world.forge.changed_paths(REPO, before, world.head) == ("Dockerfile", "a.txt", "docs/größe #1.md")
    assert await world.forge.changed_paths(REPO, before, before) == ()


async def test_after_a_force_push_no_changed_path_is_left_out(world: ForgeWorld) -> None:
    await world.sandbox.commit_and_push(REPO, files={"dropped.txt": "1"}, deliver=False)
    before = world.head
    await world.sandbox.commit_and_push(REPO, files={"kept.txt": "1"}, force=True, deliver=False)
    told = await world.forge.changed_paths(REPO, before, world.head)
    assert told is None or told == ("dropped.txt", "kept.txt")


async def test_a_branch_moved_back_is_no_branch_without_changes(world: ForgeWorld) -> None:
    before = world.head
    await world.sandbox.commit_and_push(REPO, files={"later.txt": "1"}, deliver=False)
    told = await world.forge.changed_paths(REPO, world.head, before)
    assert told is None or told == ("later.txt",)


async def test_what_cannot_be_compared_is_unknown(world: ForgeWorld) -> None:
    assert await world.forge.changed_paths(REPO, NO_SUCH, world.head) is None


async def test_a_comparison_tells_all_of_many_paths_or_nothing(world: ForgeWorld) -> None:
    many = {f"{number}.txt": "x" for number in range(1001)}
    before = world.head
    await world.sandbox.commit_and_push(REPO, files=many, deliver=False)
    told = await world.forge.changed_paths(REPO, before, world.head)
    assert told is None or told == tuple(sorted(many))


async def test_whether_a_file_is_there_is_told_apart_from_no_commit(world: ForgeWorld) -> None:
    await world.sandbox.commit_and_push(REPO, files={"docker/größe #1/Dockerfile": "FROM x"}, deliver=False)
    assert await world.forge.has_file(REPO, world.head, "docker/größe #1/Dockerfile")
    assert not await world.forge.has_file(REPO, world.head, "docker/Dockerfile")
    with pytest.raises(Vanished):
        await world.forge.has_file(REPO, NO_SUCH, "Dockerfile")


async def test_what_a_file_holds_at_a_commit(world: ForgeWorld) -> None:
    text = "größe = 1\n\n# end\n"
    push = await world.sandbox.commit_and_push(REPO, files={"a b/größe #1": text, "empty": ""}, deliver=False)
    await world.sandbox.commit_and_push(REPO, files={"a b/größe #1": "later"}, deliver=False)
    assert await world.forge.read_file(REPO, push.sha, "a b/größe #1") == text.encode()
    assert await world.forge.read_file(REPO, push.sha, "empty") == b""
    assert await world.forge.read_file(REPO, push.sha, "gone") is None
    with pytest.raises(Vanished):
        await world.forge.read_file(REPO, NO_SUCH, "empty")


async def test_the_commit_that_a_submodule_is_at(world: ForgeWorld) -> None:
    others = {f"libs/{number:04}": "x" for number in range(120)}  # more than GitLab lists on a page
    change = Change("Add", {**others, "file": "x"}, gitlinks={"libs/größe #1": LINKED, "top": LINKED})
    sha = (await world.sandbox.push_commits(REPO, [change], deliver=False)).sha
    for path in ("libs/größe #1", "top"):
        if world.tells_gitlinks:
            assert await world.forge.gitlink(REPO, sha, path) == LINKED
        else:
            with pytest.raises(Refused, match="does not tell which commit"):
                await world.forge.gitlink(REPO, sha, path)


@pytest.mark.parametrize("path", ["file", "libs", "gone", "libs/gone", "gone/gone", "file/gone"])
async def test_what_is_no_submodule_is_none(world: ForgeWorld, path: str) -> None:
    change = Change("Add", {"file": "x", "libs/b": "x"}, gitlinks={"libs/a": LINKED})
    sha = (await world.sandbox.push_commits(REPO, [change], deliver=False)).sha
    assert await world.forge.gitlink(REPO, sha, path) is None


async def test_a_submodule_of_no_commit_has_vanished(world: ForgeWorld) -> None:
    with pytest.raises(Vanished):
        await world.forge.gitlink(REPO, NO_SUCH, "libs/a")


async def test_a_moved_submodule_is_a_changed_path(world: ForgeWorld) -> None:
    before = world.head
    change = Change("Add", {}, gitlinks={"libs/a": LINKED})
    sha = (await world.sandbox.push_commits(REPO, [change], deliver=False)).sha
    assert await world.forge.changed_paths(REPO, before, sha) == ("libs/a",)


async def test_a_page_is_neither_a_file_nor_no_submodule(world: ForgeWorld) -> None:
    world.faults.nonsense(times=6)
    for ask in (world.forge.read_file, world.forge.gitlink):
        with pytest.raises((Unanswered, Unavailable)):
            await ask(REPO, world.head, "x")


async def test_what_is_at_the_root_is_told_where_archives_may_begin_with_it(world: ForgeWorld) -> None:
    change = Change("Add", {"docs/größe": "x", ".gitea/x/y": "x"}, gitlinks={"lib": LINKED})
    sha = (await world.sandbox.push_commits(REPO, [change], deliver=False)).sha
    names = {"Dockerfile", "docs", ".gitea", "lib"}
    assert await world.forge.root_names(REPO, sha) == (names if world.may_lack_top_directory else None)


@pytest.mark.parametrize("private", [False, True])
async def test_the_archive_holds_the_commits_files_below_one_directory(world: ForgeWorld, private: bool) -> None:
    if private:
        world.hide()
    push = await world.sandbox.commit_and_push(REPO, files={"src/main.py": "print()"}, deliver=False)
    await world.sandbox.commit_and_push(REPO, files={"src/later.py": ""}, deliver=False)
    async with world.forge.archive(REPO, push.sha) as pieces:
        packed = b"".join([piece async for piece in pieces])
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        names = archive.getnames()
    (top,) = {name.partition("/")[0] for name in names}
    assert sorted(name.removeprefix(f"{top}/") for name in names) == ["Dockerfile", "src/main.py"]


async def test_an_archive_that_cannot_be_had_is_refused_before_its_first_byte(world: ForgeWorld) -> None:
    with pytest.raises(Vanished):
        async with world.forge.archive(REPO, NO_SUCH):
            pytest.fail("there is no such archive")
    world.faults.nonsense()
    with pytest.raises(Unavailable):
        async with world.forge.archive(REPO, world.head):
            pytest.fail("a page is no archive")


@pytest.mark.parametrize("name", ["acme", "acme/../admin", "acme/a?b", "acme/a b", "/acme", "acme/", ""])
async def test_a_name_that_could_lead_elsewhere_is_not_asked_for(world: ForgeWorld, name: str) -> None:
    world.faults.down()
    with pytest.raises(Refused):
        await world.forge.repository(name)


async def test_no_error_tells_the_token(world: ForgeWorld) -> None:
    token = world.token_of("ci-bot")
    forge = world.forge_with(token)
    for fail in (world.faults.down, world.faults.lose, world.faults.fail, world.faults.nonsense):
        world.faults.clear()
        fail()
        with pytest.raises(CallError) as caught:
            async with forge.archive(REPO, world.head):
                pytest.fail("it fails")
        assert token not in str(caught.value)


# What is asked when nothing was told


async def listed(world: ForgeWorld, kind: RefKind) -> dict[str, ListedRef]:
    found = await world.refs.refs(REPO, kind)
    assert found is not None
    assert found.is_whole
    return {ref.name: ref for ref in found.refs}


async def test_branches_are_listed_with_what_their_pushes_tell(world: ForgeWorld) -> None:
    push = await world.sandbox.commit_and_push(REPO, ref="fix/#7-größe", deliver=False)
    await world.sandbox.push_tag(REPO, "v1", deliver=False)
    branches = await listed(world, RefKind.BRANCH)
    assert branches == {
        "main": ListedRef("main", world.head, world.head),
        "fix/#7-größe": ListedRef("fix/#7-größe", push.after, push.sha),
    }


@pytest.mark.parametrize("annotated", [False, True])
async def test_tags_are_listed_with_what_their_pushes_tell(world: ForgeWorld, annotated: bool) -> None:
    world.add_hook(SECRET)
    push = await world.sandbox.push_tag(REPO, "v1.2/rc#1", annotated=annotated, deliver=False)
    tags = await listed(world, RefKind.TAG)
    assert list(tags) == ["v1.2/rc#1"]
    assert tags["v1.2/rc#1"].sha == world.read(push).after
    assert tags["v1.2/rc#1"].commit in {push.sha, None}


async def test_a_list_of_several_pages_is_read_to_its_end(world: ForgeWorld) -> None:
    names = {f"v{number}" for number in range(130)}
    for name in names:
        await world.sandbox.push_tag(REPO, name, deliver=False)
    assert await listed(world, RefKind.TAG) == {name: ListedRef(name, world.head, world.head) for name in names}


async def test_a_repository_without_tags_has_none(world: ForgeWorld) -> None:
    assert await listed(world, RefKind.TAG) == {}


async def test_lists_that_cannot_be_had_say_why(world: ForgeWorld) -> None:
    with pytest.raises(Vanished):
        await world.refs.refs("acme/none", RefKind.BRANCH)


async def test_a_commit_is_told_with_its_message(world: ForgeWorld) -> None:
    push = await world.sandbox.commit_and_push(REPO, message="Mend it\n\n[skip ci]", deliver=False)
    assert await world.refs.commit_message(REPO, push.sha) == "Mend it\n\n[skip ci]"
    with pytest.raises((Vanished, Refused)):
        await world.refs.commit_message(REPO, NO_SUCH)


async def test_the_archive_is_where_a_delivery_would_say(world: ForgeWorld) -> None:
    world.add_hook(SECRET)
    push = await world.sandbox.commit_and_push(REPO, deliver=False)
    read = world.read(push)
    assert world.webhook.archive(read.source, push.sha) == read.archive


async def test_more_than_three_tags_in_one_push_are_told_where_the_forge_tells_them(world: ForgeWorld) -> None:
    world.add_hook(SECRET)
    three = await world.sandbox.push_tags(REPO, "a1", "a2", "a3", deliver=False)
    four = await world.sandbox.push_tags(REPO, "b1", "b2", "b3", "b4", deliver=False)
    assert all(push.deliveries for push in three)
    assert bool(four[0].deliveries) == (world.sandbox.most_tags_announced is None)
    assert set(await listed(world, RefKind.TAG)) == {"a1", "a2", "a3", "b1", "b2", "b3", "b4"}
