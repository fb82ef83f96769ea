"""`python -m buildbot` is the `buildbot` command."""

from buildbot.cli import main

main()
