"""Where every object of the bot is built.

`adapters` alone names concrete classes, `connections` is what they call over, `setup` makes of a configuration what the
engine works with, and `app` builds what outlives configurations and puts it all together. `source` sees when the
configuration has a new version and `reloading` lets it take over.
"""

from buildbot.bootstrap.adapters import Adapters, ForgeApi, adapters, known_secrets, open_store
from buildbot.bootstrap.app import build_app
from buildbot.bootstrap.connections import open_client
from buildbot.bootstrap.source import Source

__all__ = ["Adapters", "ForgeApi", "Source", "adapters", "build_app", "known_secrets", "open_client", "open_store"]
