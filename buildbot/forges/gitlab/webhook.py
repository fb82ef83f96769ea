"""GitLab's deliveries, read: how one is proven, what a body holds, what a push means. Pure.

Two hooks tell of pushes, `Push Hook` and `Tag Push Hook`, and an instance's `System Hook` tells of both; what the event
says counts, and in a System Hook the `object_kind`. Whether the ref is a branch or a tag is told by its prefix alone.

The commit of a push is `checkout_sha`: of an annotated tag `after` is the tag's object, not a commit. GitLab sends a
null `checkout_sha` for some tags that it has just created; then the commit is unknown until it is asked for.

Three things GitLab does not tell:

- *What a push changed.* A list of all its commits (`total_commits_count` says so) would be enough if `before` were
  known to be an ancestor of `after`. But neither a flag of force nor the parents of a commit are in the payload: a
  branch that was moved from one line of commits to another by force looks like any push, and its commits do not name
  what the line that it left had changed. A path filter may skip a build only on proof, so `changed_paths` is always
  None here, and the compare API is asked instead.
- *Whether it was forced* (`forced` is None), for the same reason.
- *When it happened* (`pushed_at` is None): the times in a payload are the commits'.

The Test button sends what looks like a push of commits that were there; where the repository has one commit `before`
equals `after`, which is nothing to build.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from buildbot.domain.push import Archive, Ignored, PushEvent, RefKind, Source, kind_of
from buildbot.forges.bodies import decoded_json, header_line, header_word
from buildbot.forges.conversation import utc_now
from buildbot.forges.fields import Fields, shown
from buildbot.forges.gitlab.names import is_full_name
from buildbot.forges.gitlab.signing import verifier
from buildbot.forges.names import is_zeros, quoted
from buildbot.forges.push_fields import BUILT_REFS, end_of_move, object_id, ref_in, repository_number, web_address
from buildbot.ports import BadPayload, Verifier

PUBLIC = 20
DELIVERY_IDS = ("Idempotency-Key", "X-Gitlab-Event-UUID", "webhook-id")
_KINDS = {"Push Hook": "push", "Tag Push Hook": "tag_push"}


class GitLabWebhook:
    """A `ports.Webhook` for gitlab.com and instances of one's own.

    `forge` is the forge's key in the configuration, by which a `Source` names it; `url` is where people and builders
    find projects ("https://gitlab.com"). `now` is the clock that a signature's time is compared with.
    """

    def __init__(self, *, forge: str, url: str, now: Callable[[], datetime] = utc_now) -> None:
        self._forge = forge
        self._url = url.rstrip("/")
        self._now = now

    def verifier(self, headers: Mapping[str, bytes], secrets: Sequence[bytes]) -> Verifier:
        """A check of the signature where there is one, else of `X-Gitlab-Token`. Raises BadSignature at once."""
        return verifier(headers, secrets, self._now())

    def identify(self, headers: Mapping[str, bytes]) -> tuple[str, str]:
        """(delivery id, event): `Idempotency-Key`, which a resend keeps; older versions have `X-Gitlab-Event-UUID`."""
        named = next((name for name in DELIVERY_IDS if headers.get(name.lower())), None)
        if named is None:
            raise BadPayload("the headers Idempotency-Key and X-Gitlab-Event-UUID are missing")
        return header_word(headers, named), header_line(headers, "X-Gitlab-Event")

    def decode(self, headers: Mapping[str, bytes], body: bytes) -> Mapping[str, object]:
        """The payload, which GitLab sends as JSON only."""
        return decoded_json(headers, body, "GitLab")

    def read(self, event: str, payload: Mapping[str, object]) -> tuple[PushEvent, ...] | Ignored:
        """One PushEvent for a push to a branch or tag, deletions included; everything else is Ignored."""
        push = Fields(payload)
        if not _is_push(event, push):
            return Ignored(f"the event {shown(event)} asks for no build; only pushes do")
        ref = ref_in(push)
        if not ref.startswith(BUILT_REFS):
            return Ignored(f"{shown(ref)} is neither a branch nor a tag")
        return (self._push(push, ref),)

    def archive(self, source: Source, commit: str) -> Archive:  # noqa: ARG002  # the same for every commit
        """Where a builder would fetch a repository's source, as every delivery of it says."""
        return archive_at(self._url, source)

    def _push(self, push: Fields, ref: str) -> PushEvent:
        source = self._source(push.within("project"))
        before, after = end_of_move(push, "before"), end_of_move(push, "after")
        commit = _commit(push, ref, after)
        return PushEvent(
            source=source,
            ref=ref,
            before=before,
            after=after,
            commit=commit,
            archive=archive_at(self._url, source),
            message=_message(push, commit),
            pusher=push.maybe_text("user_username") or push.maybe_text("user_name"),
            compare_url=_compare_url(source, before, after),
        )

    def _source(self, project: Fields) -> Source:
        number, full_name = repository_number(project), project.name("path_with_namespace")
        if not is_full_name(full_name):
            raise project.mistake("path_with_namespace", "is not a project's path")
        return Source(
            forge=self._forge,
            repository_id=number,
            full_name=full_name,
            private=project.number("visibility_level") != PUBLIC,
            default_branch=project.maybe_name("default_branch"),
            html_url=web_address(project, "web_url"),
        )


def archive_at(url: str, source: Source) -> Archive:
    """A project's archive at the site `url`: the zip.

    A tar.gz is sent as application/octet-stream, which Quay's builder takes for a Dockerfile.
    """
    address = f"{url.rstrip('/')}/{quoted(source.full_name)}/-/archive/{{sha}}/{source.name}-{{sha}}.zip"
    return Archive(url=address, root=f"/{source.name}-{{sha}}")


def _is_push(event: str, payload: Fields) -> bool:
    if event == "System Hook":
        kind = payload.maybe_text("object_kind") or payload.maybe_text("event_name")
        return kind in _KINDS.values()
    return event in _KINDS


def _commit(push: Fields, ref: str, after: str | None) -> str | None:
    if after is None:
        return None
    if push.maybe_raw("checkout_sha") is not None:
        sha = object_id(push, "checkout_sha")
        return None if is_zeros(sha) else sha
    return after if kind_of(ref) is RefKind.BRANCH else None


def _message(push: Fields, commit: str | None) -> str | None:
    """The message of the commit, which is not always the last that is listed: the Test button lists newest first."""
    if commit is None:
        return None
    listed = [one for one in push.maybe_each("commits") or [] if one.maybe_raw("id") == commit]
    return listed[0].maybe_text("message") if listed else None


def _compare_url(source: Source, before: str | None, after: str | None) -> str | None:
    if source.html_url is None or before is None or after is None:
        return None
    return f"{source.html_url}/-/compare/{before}...{after}"
