"""What every test may ask for."""

from __future__ import annotations

import pytest
from hypothesis import settings

# How long an example takes says more about the machine than about the code.
settings.register_profile("steady", deadline=None)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The product runs on asyncio alone, so its tests do too."""
    return "asyncio"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Binary values are named by their argument: an archive made for a test holds the time, and ids must not change."""
    return argname if isinstance(val, bytes) and not val.isascii() else None
