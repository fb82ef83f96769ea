"""How much of what is to be done one pass takes on.

A pass writes its intents down before it calls. A thousand of them at once would be a thousand rows in doubt after a
crash; builds that wait for their turn inside the pass could not be superseded; a cancel would be sent on a look that is
old by then; and the repository would hold all the registry takes at once, while others wait. So a pass takes on a
portion, older builds first, and the repository is looked at again directly after the others that are due.
"""

from __future__ import annotations

from collections.abc import Mapping

from buildbot.domain.build import BuildId
from buildbot.domain.lifecycle import Action, FindBuild, PollBuild, RequestBuild

MOST_REQUESTS = 40
MOST_OTHER_CALLS = 40


def in_portions(actions: Mapping[BuildId, Action]) -> tuple[dict[BuildId, Action], dict[BuildId, Action]]:
    """(what to do now, the requests that are left over). Reads cost nothing more by being many: one list serves all."""
    now: dict[BuildId, Action] = {}
    later: dict[BuildId, Action] = {}
    requests = others = 0
    for build_id, action in actions.items():
        match action:
            case RequestBuild():
                requests += 1
                (now if requests <= MOST_REQUESTS else later)[build_id] = action
            case PollBuild() | FindBuild():
                now[build_id] = action
            case _ if others < MOST_OTHER_CALLS:
                others += 1
                now[build_id] = action
            case _:
                pass
    return now, later
