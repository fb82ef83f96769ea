"""Gitea's log of deliveries: not offered, so lost pushes are found by the sweep alone.

Their page of a webhook lists deliveries and sends one again, but under a new id, and no API does either.
"""

from __future__ import annotations

from buildbot.ports import NotOffered

DELIVERY_LOG = NotOffered("Gitea and Forgejo have no API for the log of deliveries")
