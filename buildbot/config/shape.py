"""The shape of the file: which tables and keys there are, what each may hold, what it is when it is left out.

pydantic reads these models strictly (no text for a number, no unknown key), and the JSON Schema for editors is made
from the same lines, so neither can say something the other does not. Keys that must be there have an empty default
and a mark, instead of no default: a table with one mistake can then still be read, and the rest of it checked.
Values keep the form they are written in; `tables.py` and `rules.py` turn them into what the bot works with.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from buildbot.config import durations, values
from buildbot.config.model import ForgeKind, RegistryKind, Server
from buildbot.domain.lifecycle import Limits
from buildbot.domain.rule import DEFAULT_STATUS_CONTEXT, ArchiveRoute, Supersede

REGISTRY_URLS = {RegistryKind.QUAY: "https://quay.io"}
FORGES_OF_LATER = ("gogs", "azure", "sourcehut")
REGISTRIES_OF_LATER = ("dockerhub", "docker", "ghcr", "harbor", "ecr", "gcr", "gitlab")
REQUIRED = "x-required"


class Table(BaseModel):
    """What all tables have in common."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(…)"  # a table may hold a secret that somebody wrote out


def _app_id(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _required(example: object, description: str) -> Any:
    default: object = [] if isinstance(example, list) else ""
    return Field(default, description=description, examples=[example], json_schema_extra={REQUIRED: True})


def _optional(default: object, example: object, description: str) -> Any:
    return Field(default, description=description, examples=[example])


def _time(default: str, description: str) -> Any:
    return Field(default, description=description, examples=[default or "1h"])


def _words(*words: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "enum": list(words)})


def _numbers(kind: str, at_least: float, at_most: float) -> WithJsonSchema:
    return WithJsonSchema({"type": kind, "minimum": at_least, "maximum": at_most})


_TIME = WithJsonSchema({"type": "string", "pattern": durations.PATTERN})
_LIMITS = Limits()

Lease = Annotated[str, AfterValidator(values.duration("1s", "1h")), _TIME]
Retention = Annotated[str, AfterValidator(values.duration("1s", "3650d")), _TIME]
CallTime = Annotated[str, AfterValidator(values.duration("0.1s", "10m")), _TIME]
Interval = Annotated[str, AfterValidator(values.duration("0.01s", "1h")), _TIME]
Limit = Annotated[str, AfterValidator(values.duration("0.01s", "365d")), _TIME]

Every = Annotated[
    str,
    AfterValidator(values.duration_or_off("10s", "24h")),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": durations.PATTERN}, {"const": values.OFF}]}),
]

Url = Annotated[str, AfterValidator(values.http_url)]
Secret = Annotated[str, AfterValidator(values.secret)]
Pause = Annotated[str, AfterValidator(values.duration("0s", "1d")), _TIME]
Cap = Annotated[int, AfterValidator(values.number(0, 100_000)), _numbers("integer", 0, 100_000)]

AppId = Annotated[
    str, BeforeValidator(_app_id), AfterValidator(values.app_id), WithJsonSchema({"type": ["integer", "string"]})
]


class ServerTable(Table):
    """`[server]`: where the bot listens."""

    listen: Annotated[str, AfterValidator(values.listen)] = _optional(
        f"{Server().listen_host}:{Server().listen_port}",
        "127.0.0.1:8080",
        "Address and port to listen on; an IPv6 address in brackets, port 0 for any free one.",
    )
    public_url: Url = _optional(
        "",
        "https://builds.example.com",
        "How forges, browsers and Quay's builders reach the bot. Statuses then link to the bot's page of the build "
        "instead of Quay's, and private source can be built.",
    )
    redeliver_every: Every = _optional(
        "5m",
        "5m",
        "How often the log of deliveries is read where a forge keeps one (GitHub, GitLab), and failed pushes are asked "
        "for again, also at start; off: never. Needs public_url, and a credential that may see webhooks.",
    )
    sweep_every: Every = _optional(
        "15m",
        "15m",
        "How often branches and new tags of exactly named sources are compared with what was recorded, also at start; "
        "off: never.",
    )


class StoreTable(Table):
    """`[store]`: where deliveries, builds and statuses are kept."""

    url: Annotated[str, AfterValidator(values.store_url_or_secret)] = _optional(
        "sqlite:///buildbot.db",
        "sqlite:///buildbot.db",
        "sqlite:///FILE (relative to the configuration's folder; four slashes if absolute); also env:NAME or "
        "file:PATH, since it may hold a password.",
    )
    lease: Lease = _time("10s", "How long an instance that has died keeps others from taking over its builds.")
    retention: Retention = _time("30d", "How long finished builds and their deliveries are kept.")


class ForgeTable(Table):
    """`[forges.KEY]`: where pushes come from and statuses go. Its webhooks are received at `/webhooks/KEY`."""

    kind: Annotated[str, AfterValidator(values.one_of(*ForgeKind, later=FORGES_OF_LATER)), _words(*ForgeKind)] = (
        _required("github", "Which API the forge speaks.")
    )
    url: Url = _optional(
        "",
        "https://github.com",
        "The forge's address. If left out: https://github.com, https://gitlab.com or https://bitbucket.org, by kind; "
        "gitea, forgejo and bitbucket-datacenter need it.",
    )
    api_url: Url = _optional(
        "",
        "https://api.github.com",
        "The address of the forge's API. Derived from url: https://api.github.com, {url}/api/v3 for GitHub "
        "Enterprise, {url}/api/v4 for GitLab, {url}/api/v1 for Gitea and Forgejo, https://api.bitbucket.org/2.0, "
        "{url}/rest/api/latest for Bitbucket Data Center.",
    )
    webhook_secrets: list[Secret] = _required(
        ["env:GITHUB_WEBHOOK_SECRET"],
        "The secrets that prove webhook deliveries; a delivery may use any of them, so that they can be rotated.",
    )
    token: Secret = _optional(
        "",
        "env:GITHUB_TOKEN",
        "A token that may write commit statuses and read the source. At GitHub either this, or app_id and private_key.",
    )
    app_id: AppId = _optional("", 12345, "The id of the GitHub App to act as.")
    private_key: Secret = _optional(
        "", "file:/run/secrets/github-app.pem", "The GitHub App's private key, an RSA key in PEM form."
    )
    writes_per_minute: Annotated[int, AfterValidator(values.number(1, 10_000)), _numbers("integer", 1, 10_000)] = (
        _optional(60, 60, "How many statuses are written a minute with one credential, at most. GitHub allows 80.")
    )


class RegistryTable(Table):
    """`[registries.KEY]`: where images are built."""

    kind: Annotated[
        str, AfterValidator(values.one_of(*RegistryKind, later=REGISTRIES_OF_LATER)), _words(*RegistryKind)
    ] = _required("quay", "Which API the registry speaks.")
    url: Url = _optional("", "https://quay.io", "The registry's address. For Quay https://quay.io if left out.")
    token: Secret = _required("env:QUAY_TOKEN", "An OAuth 2 access token that may write and administer repositories.")
    poll_interval: Interval = _time(
        durations.written(_LIMITS.poll_interval),
        "The shortest time between two looks at a build; longer while nothing can have changed.",
    )
    polls_per_second: Annotated[float, AfterValidator(values.number(0.01, 1000)), _numbers("number", 0.01, 1000)] = (
        _optional(5, 5, "How many looks at builds a second, at most, all builds together.")
    )
    request_timeout: CallTime = _time("20s", "How long one call may take.")
    settle_time: Interval = _time(
        "30s", "How long after a call without an answer the registry may still do what it was asked."
    )
    expired_grace: Limit = _time(
        durations.written(_LIMITS.expired_grace), "How long a build may read expired before that is its end."
    )
    waiting_timeout: Limit = _time(
        durations.written(_LIMITS.waiting_timeout),
        "How long a build may wait in a queue that does not move before it is asked for again.",
    )
    build_timeout: Limit = _time(
        durations.written(_LIMITS.build_timeout), "How long a build may take before it is cancelled."
    )
    give_up_after: Limit = _time(
        durations.written(_LIMITS.give_up_after),
        "How long the registry may refuse or keep silent before the build is given up.",
    )
    max_builds: Cap = _optional(
        0, 20, "How many builds may be in flight at the registry, at most; the others wait in line. 0 is any number."
    )
    max_builds_per_namespace: Cap = _optional(
        0, 5, "How many builds may be in flight in each of its namespaces, at most. 0 is any number."
    )


class RuleTable(Table):
    """`[[rules]]`: which pushes become a build, and of what."""

    name: Annotated[str, AfterValidator(values.rule_name)] = _required("api", "The rule's name, unique.")
    source: Annotated[str, AfterValidator(values.source)] = _required(
        "acme/api",
        "The source repository, owner/name, also with wildcards (acme/*); group/subgroup/name at GitLab, KEY/slug or "
        "~user/slug at Bitbucket Data Center; forge:owner/name when there are several forges.",
    )
    branches: list[Annotated[str, AfterValidator(values.ref_pattern)]] = _optional(
        [],
        ["main"],
        "Patterns of branches to build. * stays within a path segment, ** crosses; the last pattern that matches "
        "decides, ! makes it a no.",
    )
    tags: list[Annotated[str, AfterValidator(values.ref_pattern)]] = _optional(
        [], ["v*"], "Patterns of git tags to build."
    )
    paths: list[Annotated[str, AfterValidator(values.path_pattern)]] = _optional(
        [], ["src/**"], "Patterns of changed files; a push that provably changes none of them is not built."
    )
    repository: Annotated[str, AfterValidator(values.repository)] = _required(
        "acme/api",
        "The registry's repository, namespace/name, also with placeholders; registry:namespace/name when there are "
        "several registries.",
    )
    image_tags: list[Annotated[str, AfterValidator(values.image_tag)]] = _optional(
        ["{ref}"],
        ["{ref}"],
        "Templates of image tags. {ref} {branch} {tag} {sha} {short_sha} {repo} {owner} {rule} {version} {major} "
        "{minor} {patch}; {default_branch?latest} is latest, but only from the default branch.",
    )
    dockerfile: Annotated[str, AfterValidator(values.file_path)] = _optional(
        "",
        "Dockerfile",
        "The Dockerfile, from the source repository's root, inside the context. If left out: Dockerfile in the "
        "context.",
    )
    context: Annotated[str, AfterValidator(values.path)] = _optional(
        ".", ".", "The folder that is sent to the builder, from the source repository's root."
    )
    archive: Annotated[str, AfterValidator(values.one_of(*ArchiveRoute)), _words(*ArchiveRoute)] = _optional(
        str(ArchiveRoute.AUTO),
        str(ArchiveRoute.AUTO),
        "How Quay's builder gets at the source: direct from the forge, relay through the bot (which needs public_url), "
        "or auto: direct where that works, else relay.",
    )
    revision_file: Annotated[str, AfterValidator(values.file_path)] = _optional(
        "",
        ".revision",
        "A file to put into the source, from its root, that holds the commit's full sha. The source then goes through "
        "the bot.",
    )
    submodules: bool = _optional(
        False,
        True,
        "Whether the source holds the repository's submodules too. It then goes through the bot.",
    )
    supersede: Annotated[str, AfterValidator(values.one_of(*Supersede)), _words(*Supersede)] = _optional(
        "",
        "cancel",
        "What a newer push does to unfinished builds of the same ref: cancel, queued (drop only what waits), keep. If "
        "left out: cancel for branches, keep for tags.",
    )
    status_context: Annotated[str, AfterValidator(values.status_context)] = _optional(
        DEFAULT_STATUS_CONTEXT,
        DEFAULT_STATUS_CONTEXT,
        "The name of the commit status, a template with the placeholders of image_tags.",
    )
    pull_robot: Annotated[str, AfterValidator(values.robot)] = _optional(
        "", "acme+puller", "The robot account that pulls private base images (needs the scope org:admin)."
    )
    timeout: Limit = _time("", "How long a build may take under this rule, instead of the registry's build_timeout.")
    quiet_period: Pause = _time(
        "0s",
        "How long a branch has to be quiet before its last push is built, so that a burst of pushes becomes one build.",
    )


class Document(Table):
    """The whole file."""

    server: ServerTable = Field(ServerTable(), description=ServerTable.__doc__)
    store: StoreTable = Field(StoreTable(), description=StoreTable.__doc__)
    forges: dict[str, ForgeTable] = Field(
        {}, description="The forges, each under a key of your own.", json_schema_extra={REQUIRED: True}
    )
    registries: dict[str, RegistryTable] = Field(
        {}, description="The registries, each under a key of your own.", json_schema_extra={REQUIRED: True}
    )
    rules: list[RuleTable] = Field([], description="The rules, in any order.", json_schema_extra={REQUIRED: True})
