"""Keys that every instance shares: made by whoever needs one first, the same for all from then on."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, select

from buildbot.store.statements import Upsert
from buildbot.store.tables import keys

KEY_BYTES = 32
_MAKE_OR_KEEP = Upsert(keys, ("name",))


def shared_key(connection: Connection, name: str) -> bytes:
    """The key of that name, made now if there is none."""
    _MAKE_OR_KEEP(connection, {"name": name, "value": secrets.token_hex(KEY_BYTES)})
    return bytes.fromhex(connection.execute(select(keys.c.value).where(keys.c.name == name)).scalar_one())
