"""What the tests of the command line may ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.world import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder with a good configuration, and no database yet."""
    return Place(tmp_path).write()
