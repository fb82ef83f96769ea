"""`buildbot builds` on a store that was filled by its port: what is shown, what is asked for, and what is refused."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import typer

from buildbot.cli.naming import pick_build
from buildbot.domain.build import BuildPhase, CancelReason, Goal, GoalKind
from buildbot.ports import Store
from tests.cli.world import FAILED_LOG, NOW, OTHER_SHA, SHA, Place

ACTING = ("show", "logs", "cancel", "rebuild")


class TestWithoutADatabase:
    def test_there_are_no_builds_and_no_file_is_made(self, place: Place) -> None:
        result = place.run("builds", "list")
        assert (result.exit_code, result.stdout) == (0, "")
        assert f"no builds yet: nothing was ever recorded in {place.database}" in result.stderr
        assert place.document("builds", "list") == []
        assert not place.database.exists()

    @pytest.mark.parametrize("command", ACTING)
    def test_no_build_can_be_acted_on(self, place: Place, command: str) -> None:
        result = place.run("builds", command, "abcdef")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "there are no builds yet" in result.stderr
        assert not place.database.exists()

    def test_a_folder_that_is_missing_is_told_of(self, place: Place) -> None:
        place.write(store="sqlite:///nowhere/buildbot.db")
        assert place.run("builds", "list").exit_code == 0
        assert not (place.folder / "nowhere").exists()


class TestBadDatabases:
    @pytest.mark.parametrize("command", [("list",), ("show", "abcdef"), ("cancel", "abcdef")])
    def test_a_file_that_is_no_database(self, place: Place, command: tuple[str, ...]) -> None:
        place.database.write_text("these are not the bytes of a database, but there are enough of them to look\n" * 20)
        result = place.run("builds", *command)
        assert result.exit_code == 2
        assert "file is not a database" in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def test_a_folder_in_its_place(self, place: Place) -> None:
        place.database.mkdir()
        result = place.run("builds", "list")
        assert result.exit_code == 2
        assert "unable to open database file" in result.stderr
        assert len(result.stderr.splitlines()) == 1

    def test_a_url_in_a_variable_that_is_not_set(self, place: Place) -> None:
        place.write(store="env:STORE_URL")
        result = place.run("builds", "list")
        assert result.exit_code == 2
        assert "the environment variable STORE_URL is not set" in result.stderr


class TestList:
    def test_a_pipe_gets_tabs_and_whole_ids(self, place: Place) -> None:
        old, new = place.plan(), place.plan("refs/tags/v1.0", OTHER_SHA)
        place.see(old)
        lines = [line.split("\t") for line in place.run("builds", "list", environ={}).stdout.splitlines()]
        assert lines[0] == ["ID", "PHASE", "RULE", "PUSHED", "IMAGE", "AGE"]
        assert lines[1][:5] == [new.id, "planned", "api", "acme/api v1.0 2b3c4d5", "acme/api:v1.0,sha-2b3c4d5"]
        assert lines[2][:5] == [old.id, "succeeded", "api", "acme/api main 1a2b3c4", "acme/api:main,sha-1a2b3c4"]

    @pytest.mark.parametrize(
        ("filters", "rules"),
        [
            ((), ["web", "api", "api"]),
            (("--rule", "web"), ["web"]),
            (("--ref", "refs/heads/dev"), ["api"]),
            (("--source", "ACME/web"), ["web"]),
            (("--source", "github:acme/web"), ["web"]),
            (("--phase", "succeeded"), ["api"]),
            (("--unfinished",), ["web", "api"]),
            (("--limit", "1"), ["web"]),
            (("--rule", "none"), []),
        ],
    )
    def test_filters_narrow_it_down(self, place: Place, filters: tuple[str, ...], rules: list[str]) -> None:
        place.see(place.plan())
        place.plan("refs/heads/dev")
        place.plan(rule="web", full_name="acme/web", repository="acme/web", status_context="quay/web")
        assert [build["rule"] for build in place.document("builds", "list", *filters)] == rules

    def test_json_says_the_same_keys_as_the_page(self, place: Place) -> None:
        build = place.see(place.plan())
        (listed,) = place.document("builds", "list")
        assert (listed["id"], listed["phase"], listed["is_final"]) == (build.id, "succeeded", True)
        assert listed["page_url"] == f"https://builds.example.com/builds/{build.id}"
        assert listed["registry_url"] == f"https://quay.io/repository/acme/api/build/{build.seen.quay_id}"
        shown = place.document("builds", "show", build.id)
        assert set(shown) - set(listed) == {"steps", "status"}

    def test_none_found_is_said(self, place: Place) -> None:
        place.plan()
        result = place.run("builds", "list", "--rule", "none")
        assert (result.exit_code, result.stdout, result.stderr) == (0, "", "no builds\n")

    @pytest.mark.parametrize(
        ("filters", "told"),
        [(("--ref", "main"), "write refs/heads/main"), (("--phase", "done"), "done"), (("--limit", "0"), "--limit")],
    )
    def test_a_filter_that_cannot_be_read_ends_with_2(self, place: Place, filters: tuple[str, ...], told: str) -> None:
        result = place.run("builds", "list", *filters)
        assert result.exit_code == 2
        assert told in result.stderr

    def test_a_hostile_ref_obeys_the_columns(self, place: Place) -> None:
        place.plan("refs/heads/a\tb\x1b[2J\nc", image_tags=("x",))
        (_, line) = place.run("builds", "list").stdout.splitlines()
        assert line.split("\t")[3] == "acme/api a b\N{REPLACEMENT CHARACTER}[2J c 1a2b3c4"


class TestShow:
    def test_everything_is_told(self, place: Place) -> None:
        build = place.see(place.plan(), BuildPhase.FAILED, because="Failed in step 2/3: RUN make", log=FAILED_LOG)
        text = place.run("builds", "show", build.id, environ={}).stdout
        for told in (
            f"{build.id}  failed",
            "Failed in step 2/3: RUN make",
            "main, sha-1a2b3c4",
            "quay/api",
            "make: ***",
            f"https://quay.io/repository/acme/api/build/{build.seen.quay_id}",
            f"buildbot builds logs {build.id}",
        ):
            assert told in text
        assert [line.strip() for line in text.splitlines() if line.strip().endswith("failed")]

    def test_links_lead_out_of_the_terminal(self, place: Place) -> None:
        build = place.see(place.plan(), BuildPhase.FAILED, log=FAILED_LOG)
        new = place.document("builds", "rebuild", build.id)
        text = place.run("builds", "show", new["id"]).stdout
        assert [line.split()[-1] for line in text.splitlines() if "repeats" in line] == [build.id]
        assert "#" not in place.run("builds", "show", build.id).stdout

    def test_the_beginning_of_an_id_is_enough(self, place: Place) -> None:
        build = place.plan()
        assert place.document("builds", "show", build.id[:6])["id"] == build.id

    @pytest.mark.parametrize("written", ["", "abc", "00000000", "%", "x" * 500])
    def test_an_unknown_id_is_one_line_and_1(self, place: Place, written: str) -> None:
        place.plan()
        result = place.run("builds", "show", written)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("buildbot: no build has the id")
        assert len(result.stderr.splitlines()) == 1


class TestCancel:
    def test_the_goal_names_the_person(self, place: Place) -> None:
        build = place.plan()
        result = place.run("builds", "cancel", build.id, "--by", "ada \n lovelace", environ={})
        assert result.exit_code == 0
        assert result.stdout == f"asked to cancel {build.id} (acme/api:main, sha-1a2b3c4)\n"
        goal = place.document("builds", "show", build.id)["goal"]
        assert goal == {"kind": "cancel", "reason": "person", "detail": "ada lovelace"}

    def test_the_login_is_the_default_person(self, place: Place) -> None:
        build = place.plan()
        place.environ["LOGNAME"] = "grace"
        assert place.document("builds", "cancel", build.id)["goal"]["detail"] == "grace"

    def test_asked_twice_says_who_was_first(self, place: Place) -> None:
        build = place.plan()
        place.store(
            lambda store: store.cancel(build.id, Goal(GoalKind.CANCEL, CancelReason.SUPERSEDED, "2b3c4d5"), NOW)
        )
        result = place.run("builds", "cancel", build.id, "--by", "ada")
        assert result.exit_code == 0
        assert "is to be cancelled already: superseded by 2b3c4d5" in result.stdout

    def test_what_has_ended_cannot_be_cancelled(self, place: Place) -> None:
        build = place.see(place.plan())
        result = place.run("builds", "cancel", build.id)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"buildbot: build {build.id} has ended already: succeeded\n"


class TestRebuild:
    def test_it_is_a_new_build_of_the_same_commit(self, place: Place) -> None:
        build = place.see(place.plan())
        new = place.document("builds", "rebuild", build.id)
        assert (new["rebuild_of"], new["commit"], new["phase"], new["left_out"]) == (build.id, SHA, "planned", [])
        assert [one["id"] for one in place.document("builds", "list")] == [new["id"], build.id]

    def test_tags_that_are_left_out_are_named(self, place: Place) -> None:
        build = place.see(place.plan())
        place.plan(sha=OTHER_SHA, at=NOW + timedelta(hours=1))
        result = place.run("builds", "rebuild", build.id)
        assert result.exit_code == 0
        assert "(acme/api:sha-1a2b3c4)" in result.stdout
        assert "left out, since newer builds have claimed them: main (--move-tags takes them)" in result.stdout

    def test_none_left_is_refused_unless_they_are_to_move(self, place: Place) -> None:
        build = place.see(place.plan(image_tags=("main",)))
        place.plan(sha=OTHER_SHA, image_tags=("main",))
        refused = place.run("builds", "rebuild", build.id)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert "have claimed main since" in refused.stderr
        assert place.document("builds", "rebuild", build.id, "--move-tags")["image_tags"] == ["main"]


class TestLogsThatCannotBe:
    def test_quay_does_not_have_the_build_yet(self, place: Place) -> None:
        build = place.plan()
        result = place.run("builds", "logs", build.id)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"Quay does not have build {build.id} (yet)" in result.stderr

    def test_the_registry_is_no_longer_configured(self, place: Place) -> None:
        build = place.see(place.plan(registry="gone"))
        result = place.run("builds", "logs", build.id)
        assert result.exit_code == 1
        assert f"the registry gone of build {build.id} is no longer configured" in result.stderr

    def test_quay_cannot_be_reached(self, tmp_path: Path) -> None:
        place = Place(tmp_path, quay="http://127.0.0.1:1").write()
        result = place.run("builds", "logs", place.see(place.plan()).id)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "cannot reach 127.0.0.1:1" in result.stderr
        assert len(result.stderr.splitlines()) == 1


def test_an_id_that_begins_two_builds_is_refused(place: Place) -> None:
    one, other = place.plan(), place.plan("refs/heads/dev")
    with pytest.raises(typer.Exit) as ended:
        pick_build("", [one, other])
    assert ended.value.exit_code == 1
    assert pick_build(one.id[:8], [one, other]) == one
    assert pick_build("nothing", [one, other]) is None


def test_what_is_asked_here_is_seen_by_a_store_that_is_open_elsewhere(place: Place) -> None:
    build = place.plan()

    async def elsewhere(store: Store) -> str:
        await asyncio.to_thread(place.run, "builds", "cancel", build.id, "--by", "ada")
        (claim,) = await store.claim_repositories("serve", NOW + timedelta(days=9999), timedelta(seconds=10), 1)
        return claim.builds[0].goal.detail

    assert place.store(elsewhere) == "ada"
