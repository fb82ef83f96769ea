"""What a commit status says and where it leads: the bot's own build page if it can be reached, else Quay's."""

from __future__ import annotations

from collections.abc import Mapping

from buildbot.domain.build import Build
from buildbot.domain.status import CommitStatus, status_of
from buildbot.ports import Registry


class StatusWording:
    """`ports.Wording`. `public_url` is how browsers reach the bot, without a slash at the end."""

    def __init__(self, public_url: str | None, registries: Mapping[str, Registry]) -> None:
        self._public_url = public_url
        self._registries = registries

    def __call__(self, build: Build) -> CommitStatus:
        return status_of(build, self.target_url(build))

    def target_url(self, build: Build) -> str | None:
        """Where "Details" leads; None while there is nothing to show."""
        if self._public_url:
            return f"{self._public_url}/builds/{build.id}"
        return self.registry_page(build)

    def registry_page(self, build: Build) -> str | None:
        """The build's page at the registry, once it has one."""
        registry = self._registries.get(build.request.registry)
        if registry is None or build.seen.quay_id is None:
            return None
        return registry.build_page(build.request.repository, build.seen.quay_id)
