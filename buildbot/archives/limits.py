"""What an archive may use up. Counted while it streams, so that a bomb is stopped by its first byte too many."""

from __future__ import annotations

from buildbot.archives.errors import TooLarge

LARGEST_NAME_BYTES = 4096  # Linux's PATH_MAX: nothing could open a longer one
MOST_SEGMENTS = 256
MOST_ENTRIES = 1_000_000  # twelve times the Linux kernel's tree
LARGEST_PAX_BYTES = 64 * 1024
LARGEST_SYMLINK_MEMORY_BYTES = 8 * 1024 * 1024


class Allowance:
    """So much of something, called `unit`; taking more than is left raises TooLarge."""

    __slots__ = ("_largest", "_left", "_unit")

    def __init__(self, largest: int, unit: str) -> None:
        self._largest = largest
        self._left = largest
        self._unit = unit

    def take(self, amount: int) -> None:
        """Use up `amount`."""
        self.foresee(amount)
        self._left -= amount

    def foresee(self, amount: int) -> None:
        """Raise TooLarge if `amount` is more than is left, without using it up."""
        if amount > self._left:
            raise TooLarge(f"the archive is too large: more than {self._largest:,} {self._unit}, the most allowed")
