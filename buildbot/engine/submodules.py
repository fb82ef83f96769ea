"""Which repositories go into an archive: the one that is built, and its submodules, and theirs.

No forge packs submodules. So they are found as `git submodule update --init --recursive` finds them: `.gitmodules` at
the commit says where they come from, the commit's tree at which commit they are. All of it is found before the first
byte of an archive goes out, and looking for a submodule's own `.gitmodules` proves on the way that its commit is there
and that the credential sees it. Whatever cannot be found refuses the archive: an image that lacks a submodule without
anybody noticing is the worst that could come out.

A submodule is fetched only from a forge that is configured, with that forge's own credential; the URL in `.gitmodules`
chooses among them and is used for nothing else. What `.gitmodules` declares and the tree does not have (any more) is no
submodule; that is how git sees it too. The opposite, a submodule in the tree that `.gitmodules` does not mention, shows
only in the archive, as an empty directory; so it is looked for there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from buildbot.archives.errors import shown
from buildbot.domain.gitmodules import BadGitmodules, Declared, declared
from buildbot.domain.push import short
from buildbot.domain.remote import BadRemote, Remote, absolute, name_at, remote
from buildbot.engine.sites import ForgeSite
from buildbot.ports import CallError

GITMODULES = ".gitmodules"
LARGEST_GITMODULES = 100_000
DEEPEST = 5
MOST = 50


class SubmoduleTrouble(Exception):
    """A submodule that cannot be put in; `str()` says which and why, for the build's page."""


@dataclass(frozen=True, slots=True)
class Part:
    """One repository of an archive: where it goes ("" is the root), where it comes from, at which commit."""

    into: str
    site: ForgeSite
    full_name: str
    sha: str

    @property
    def described(self) -> str:
        """What it is, for people; "" for the repository that is built."""
        return f"the submodule {self.into} ({self.full_name} at {short(self.sha)})" if self.into else ""

    def is_same_source(self, other: Part) -> bool:
        """Whether both are one repository at one commit."""
        return (self.site.key, self.full_name, self.sha) == (other.site.key, other.full_name, other.sha)


@dataclass(frozen=True, slots=True)
class Sources:
    """What goes into an archive, each part after the one it is in, and the paths that are left empty on purpose."""

    parts: tuple[Part, ...]
    left_out: frozenset[str] = frozenset()

    async def check(self, part: Part, empty: Iterable[bytes]) -> None:
        """Raise SubmoduleTrouble if one of the directories that are empty in a part's archive is a submodule of which
        `.gitmodules` says nothing: what a clone with its submodules fails for. Paths are those in the archive made.
        """
        known = {one.into.encode() for one in self.parts} | {path.encode() for path in self.left_out}
        for path in empty:
            if path not in known and await _is_submodule(part, path):
                told = f"the submodule {shown(path)} cannot be had: {GITMODULES} does not say where it comes from"
                raise SubmoduleTrouble(told)


async def with_submodules(root: Part, forges: Mapping[str, ForgeSite]) -> Sources:
    """`root` and all its submodules. Raises SubmoduleTrouble and CallErrors."""
    search = _Search(forges)
    await search.add(root, ())
    return Sources(tuple(search.found), frozenset(search.left_out))


async def _is_submodule(part: Part, path: bytes) -> bool:
    inside = path[len(part.into) + 1 :] if part.into else path
    try:
        return await part.site.forge.gitlink(part.full_name, part.sha, inside.decode()) is not None
    except UnicodeDecodeError:
        return True  # whose name no forge's API could be asked for


class _Search:
    def __init__(self, forges: Mapping[str, ForgeSite]) -> None:
        self.found: list[Part] = []
        self.left_out: list[str] = []
        self._forges = forges
        self._looked_up = 0

    async def add(self, part: Part, above: tuple[Part, ...]) -> None:
        self._check_depth(part, above)
        self.found.append(part)
        for one in await self._declared_in(part):
            if one.is_left_out:
                self.left_out.append(_below(part, one))
                continue
            self._count()
            sha = await self._commit_of(one, part)
            if sha is not None:
                await self.add(self._located(one, part, sha), (*above, part))

    async def _declared_in(self, part: Part) -> tuple[Declared, ...]:
        try:
            content = await part.site.forge.read_file(part.full_name, part.sha, GITMODULES)
            if content is not None and len(content) > LARGEST_GITMODULES:
                raise BadGitmodules(f"{GITMODULES} is larger than {LARGEST_GITMODULES:,} bytes")
            return () if content is None else declared(content)
        except BadGitmodules as error:
            raise SubmoduleTrouble(f"the submodules of {part.full_name} cannot be told: {error}") from error
        except CallError as error:
            if not part.into:
                raise
            raise SubmoduleTrouble(f"{part.described} cannot be had: {error}") from error

    async def _commit_of(self, one: Declared, part: Part) -> str | None:
        try:
            return await part.site.forge.gitlink(part.full_name, part.sha, one.path)
        except CallError as error:
            raise SubmoduleTrouble(f"the submodule {_below(part, one)} cannot be found: {error}") from error

    def _located(self, one: Declared, part: Part, sha: str) -> Part:
        try:
            place = remote(absolute(one.url, f"{part.site.clone_url}/{part.full_name}"))
        except BadRemote as error:
            raise SubmoduleTrouble(f"the submodule {_below(part, one)} cannot be had: {error}") from error
        # The forge of the repository goes first: one host may be configured twice, with two credentials.
        for site in (part.site, *self._forges.values()):
            if (name := name_at(site.clone_url, place)) is not None:
                return Part(_below(part, one), site, name, sha)
        raise SubmoduleTrouble(f"the submodule {_below(part, one)} cannot be had: {_not_served(place)}")

    def _check_depth(self, submodule: Part, above: tuple[Part, ...]) -> None:
        if any(submodule.is_same_source(one) for one in above):
            raise SubmoduleTrouble(f"{submodule.described} contains itself")
        if len(above) > DEEPEST:
            raise SubmoduleTrouble(
                f"{submodule.described} is nested more than {DEEPEST} deep, the most that is followed"
            )

    def _count(self) -> None:
        self._looked_up += 1
        if self._looked_up > MOST:
            raise SubmoduleTrouble(f"there are more than {MOST} submodules, the most that are put into an archive")


def _below(part: Part, one: Declared) -> str:
    return f"{part.into}/{one.path}" if part.into else one.path


def _not_served(place: Remote) -> str:
    return f"it is at {place}, and no forge of the configuration is at that host"
