"""Bitbucket Cloud's log of deliveries: not offered, so lost pushes are found by the sweep alone.

Its log has to be switched on, keeps what was tried, and offers no second sending; a 5xx is tried twice more at once.
"""

from __future__ import annotations

from buildbot.ports import NotOffered

DELIVERY_LOG = NotOffered("Bitbucket Cloud has no API to send a delivery again")
