"""Bitbucket Data Center's log of deliveries: not offered, so lost pushes are found by the sweep alone.

Its API shows statistics and the last delivery of a webhook, and offers no second sending.
"""

from __future__ import annotations

from buildbot.ports import NotOffered

DELIVERY_LOG = NotOffered("Bitbucket Data Center has no API to send a delivery again")
