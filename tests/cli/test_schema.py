"""`buildbot schema` prints what `buildbot.config.schema` says."""

from __future__ import annotations

import json

from buildbot.config import schema
from tests.cli.world import Place


def test_the_schema_is_json(place: Place) -> None:
    result = place.run("schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(json.dumps(schema()))
