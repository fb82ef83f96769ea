"""Bitbucket Data Center's deliveries, read: what a body holds, what a push means. Pure.

The signature is Cloud's, the payload is another. `repo:refs_changed` tells of all refs that one push moved, each with
`fromHash` and `toHash`, zeros for "none". A branch's `toHash` is its commit. A tag's may be the tag's object: newer
versions add the commit of one ref as `toCommit`, which is taken where the delivery tells of one ref only; else the
commit is unknown until it is asked for.

What a push changed, whether it was forced, and the default branch are not told (`changed_paths`, `forced` and
`default_branch` are None, which means "unknown"; for image tags see the webhook of Cloud). When it happened is: `date`.
The archive that the API makes is not known to be of a type that Quay's builder takes, so it is never fetched directly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from buildbot.domain.push import Archive, Ignored, PushEvent, RefKind, Source, kind_of
from buildbot.forges.bitbucket.deliveries import event_of, signature_check, told_by
from buildbot.forges.bitbucket_datacenter.names import is_full_name, repository_path
from buildbot.forges.bodies import decoded_json, header_word
from buildbot.forges.fields import Fields, shown
from buildbot.forges.push_fields import BUILT_REFS, end_of_move, object_id, ref_in, repository_number
from buildbot.ports import Verifier

PING = "diagnostics:ping"


class BitbucketDataCenterWebhook:
    """A `ports.Webhook` for Bitbucket Data Center.

    `forge` is the forge's key in the configuration, by which a `Source` names it; `url` is where people find
    repositories ("https://git.example.com").
    """

    def __init__(self, *, forge: str, url: str) -> None:
        self._forge = forge
        self._url = url.rstrip("/")

    def verifier(self, headers: Mapping[str, bytes], secrets: Sequence[bytes]) -> Verifier:
        """A running check of `X-Hub-Signature`. Raises BadSignature saying what to do when it cannot pass."""
        return signature_check(headers, secrets)

    def identify(self, headers: Mapping[str, bytes]) -> tuple[str, str]:
        """(`X-Request-Id`, `X-Event-Key`)."""
        return header_word(headers, "X-Request-Id"), event_of(headers)

    def decode(self, headers: Mapping[str, bytes], body: bytes) -> Mapping[str, object]:
        """The payload, which Bitbucket sends as JSON only."""
        return decoded_json(headers, body, "Bitbucket")

    def read(self, event: str, payload: Mapping[str, object]) -> tuple[PushEvent, ...] | Ignored:
        """A PushEvent for each branch and tag that was moved, deletions included; everything else is Ignored."""
        if event == PING:
            return Ignored("ping: the webhook works; waiting for pushes")
        if event != "repo:refs_changed":
            return Ignored(f"the event {shown(event)} asks for no build; only pushes do")
        delivery = Fields(payload)
        changes = delivery.maybe_each("changes") or []
        tip = delivery.maybe_within("toCommit") if len(changes) == 1 else None
        source = self._source(delivery.within("repository"))
        return told_by(self._push(delivery, change, source, tip) for change in changes)

    def archive(self, source: Source, commit: str) -> Archive:  # noqa: ARG002  # the same for every commit
        """Where a builder would fetch a repository's source, as every delivery of it says."""
        return archive_at(self._url, source)

    def _push(self, delivery: Fields, change: Fields, source: Source, tip: Fields | None) -> PushEvent | None:
        ref = ref_in(change.within("ref"), "id")
        if not ref.startswith(BUILT_REFS):
            return None
        before, after = end_of_move(change, "fromHash"), end_of_move(change, "toHash")
        commit = _commit(ref, after, tip)
        return PushEvent(
            source=source,
            ref=ref,
            before=before,
            after=after,
            commit=commit,
            archive=archive_at(self._url, source),
            pushed_at=_pushed_at(delivery),
            message=None if tip is None or tip.maybe_raw("id") != commit else tip.maybe_text("message"),
            pusher=_pusher(delivery.maybe_within("actor")),
        )

    def _source(self, repository: Fields) -> Source:
        project = repository.within("project")
        full_name = f"{project.name('key')}/{repository.name('slug')}"
        if not is_full_name(full_name):
            raise repository.mistake("slug", "and its project's key are not KEY/slug")
        return Source(
            forge=self._forge,
            repository_id=repository_number(repository),
            full_name=full_name,
            private=not (repository.maybe_flag("public") or project.maybe_flag("public")),
            html_url=self._url + repository_path(full_name),
        )


def archive_at(url: str, source: Source) -> Archive:
    """A repository's archive by the API below `url`, for the bot alone."""
    address = f"{url.rstrip('/')}/rest/api/latest{repository_path(source.full_name)}/archive?at={{sha}}&format=zip"
    return Archive(url=address, root="", is_direct=False)


def _commit(ref: str, after: str | None, tip: Fields | None) -> str | None:
    if after is None or kind_of(ref) is RefKind.BRANCH:
        return after
    return None if tip is None else object_id(tip, "id")


def _pushed_at(delivery: Fields) -> datetime | None:
    told = delivery.maybe_name("date")
    if told is None:
        return None
    try:
        moment = datetime.fromisoformat(told)
        return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise delivery.mistake("date", "is not a time") from None


def _pusher(actor: Fields | None) -> str | None:
    if actor is None:
        return None
    names = [actor.maybe_text(key) for key in ("name", "displayName")]
    return next((name for name in names if name), None)
