"""Lists of changed paths as forges tell them, and when such a list may be believed."""

from __future__ import annotations

from collections.abc import Iterable

from buildbot.forges.fields import REPLACEMENT, is_clean


def spelled_out(paths: Iterable[str]) -> tuple[str, ...] | None:
    """The paths, sorted, each once; None if one of them is not spelled as it is.

    A path whose bytes are not UTF-8 shows as U+FFFD, control characters or in git's C-style quoting: compared with a
    filter it would be another path.
    """
    told = frozenset(paths)
    return tuple(sorted(told)) if all(map(_is_spelled_out, told)) else None


def _is_spelled_out(path: str) -> bool:
    return is_clean(path) and REPLACEMENT not in path and not path.startswith('"')
