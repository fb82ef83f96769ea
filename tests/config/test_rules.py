"""One rule: what it becomes, and everything that can be wrong with it by itself."""

from __future__ import annotations

from datetime import timedelta

import pytest

from buildbot.config.rules import never_filled
from buildbot.domain.image import VERSION_PATTERNS
from buildbot.domain.pattern import Undecided, common
from buildbot.domain.rule import ArchiveRoute, Rule, Supersede
from tests.config.files import FORGE, GOOD, REGISTRY, RULE, SERVER, good, mistakes, only_mistake, rule

TWO_FORGES = FORGE + FORGE.replace("forges.github", "forges.ghe")
TWO_REGISTRIES = REGISTRY + REGISTRY.replace("registries.quay", "registries.own")


def _made(**keys: str) -> Rule:
    return good(FORGE + REGISTRY + rule(**keys)).rules[0]


def test_a_rule_has_the_defaults_of_the_domain() -> None:
    assert good(GOOD).rules == (
        Rule("api", "github", "acme/api", registry="quay", repository="acme/api", branches=("main",)),
    )


def test_every_key_of_a_rule_is_read() -> None:
    made = _made(
        tags='["v*"]',
        paths='["src/**", "!**/*.md"]',
        image_tags='["{tag}", "{default_branch?latest}"]',
        context='"./docker//api/"',
        dockerfile='"docker/api/build/../Dockerfile.prod"',
        supersede='"queued"',
        status_context='"ci/{rule}"',
        pull_robot='"acme+puller"',
        timeout='"90m"',
        quiet_period='"30s"',
    )
    assert (made.tags, made.paths) == (("v*",), ("src/**", "!**/*.md"))
    assert made.image_tags == ("{tag}", "{default_branch?latest}")
    assert (made.context, made.dockerfile, made.dockerfile_path) == (
        "docker/api",
        "docker/api/Dockerfile.prod",
        "docker/api/Dockerfile.prod",
    )
    assert (made.supersede, made.status_context) == (Supersede.QUEUED, "ci/{rule}")
    assert (made.pull_robot, made.timeout) == ("acme+puller", timedelta(minutes=90))
    assert made.quiet_period == timedelta(seconds=30)


@pytest.mark.parametrize("context", [".", "./", "./.", "a/.."])
def test_the_root_can_be_written_in_several_ways(context: str) -> None:
    assert _made(context=f'"{context}"').context == ""


def test_a_forge_and_a_registry_can_be_named() -> None:
    text = TWO_FORGES + TWO_REGISTRIES + rule(source='"ghe:acme/*"', repository='"own:acme/{repo}"')
    [made] = good(text).rules
    assert (made.forge, made.source, made.registry, made.repository) == ("ghe", "acme/*", "own", "acme/{repo}")


@pytest.mark.parametrize(
    ("source", "repository", "key", "fragment"),
    [
        ("acme/web", "quay:acme/web", "source", 'say which: "github:acme/web" or "ghe:acme/web"'),
        ("ghe:acme/web", "acme/web", "repository", 'say which: "quay:acme/web" or "own:acme/web"'),
        ("gh:acme/web", "quay:acme/web", "source", '"gh" is none of the forges; did you mean ghe?'),
        ("ghe:acme/web", "key:acme/web", "repository", '"key" is none of the registries; there is own and quay'),
    ],
)
def test_a_reference_has_to_be_clear(source: str, repository: str, key: str, fragment: str) -> None:
    text = TWO_FORGES + TWO_REGISTRIES + rule(source=f'"{source}"', repository=f'"{repository}"')
    mistake = only_mistake(text)
    assert mistake.key == f'rules "web".{key}'
    assert fragment in mistake.what


@pytest.mark.parametrize(
    ("key", "value", "where", "fragment"),
    [
        ("name", '"a b"', "", "must be up to 100 letters"),
        ("name", '""', "", "must be up to 100 letters"),
        ("name", f'"{"x" * 101}"', "", "must be up to 100 letters"),
        ("source", '"acme"', "", "is not owner/name"),
        ("source", '"acme/web/x"', "", "is not owner/name"),
        ("source", '"acme/we b"', "", "is not owner/name"),
        ("source", '"!acme/web"', "", "is a negation"),
        ("source", '"acme/***"', "", "three stars"),
        ("source", '"acme/web.git"', "", "ends in .git"),
        ("source", '"https://github.com/acme/web"', "", "is an address"),
        ("source", '"git@github.com:acme/web.git"', "", "is an address"),
        ("source", '"gitlab:acme/web"', "", '"gitlab" is none of the forges'),
        ("source", "5", "", "must be text"),
        ("branches", '"main"', "", 'must be a list of texts, as in branches = ["main"]'),
        ("branches", '{a = "b"}', "", "must be a list of texts"),
        ("branches", "[1]", "[0]", "must be text in quotes"),
        ("branches", '[["main"]]', "[0]", "must be text in quotes"),
        ("branches", '["main", "main"]', "[1]", '"main" is there twice'),
        ("branches", '["main", ""]', "[1]", "is empty"),
        ("branches", '["***"]', "[0]", "three stars"),
        ("branches", '["[ab"]', "[0]", "without its ]"),
        ("branches", '["refs/heads/main"]', "[0]", 'without refs/heads/: "main"'),
        ("branches", '["!refs/tags/main"]', "[0]", 'without refs/tags/: "!main"'),
        ("branches", '["a b"]', "[0]", "no name that git allows"),
        ("branches", '["/main"]', "[0]", "no name that git allows"),
        ("branches", '["main", "!**"]', "", "can match nothing"),
        ("branches", "[]", None, "has neither branches nor tags"),
        ("branches", "", None, "has neither branches nor tags"),
        ("tags", '["v*", "!v*"]', "", "can match nothing"),
        ("paths", '["/src"]', "[0]", "without ./ or /"),
        ("paths", '["!./src"]', "[0]", "without ./ or /"),
        ("paths", '["src/"]', "[0]", 'everything in a folder is "src/**"'),
        ("repository", '"acme"', "", "is not namespace/name"),
        ("repository", '"acme/"', "", "is not namespace/name"),
        ("repository", '"acme//web"', "", "is not namespace/name"),
        ("repository", '"acme/_web"', "", "is not namespace/name"),
        ("repository", '"acme/we b"', "", "is not namespace/name"),
        ("repository", '"Acme/web"', "", "has the capital A"),
        ("repository", '"acme/web:latest"', "", "image tags have their own key"),
        ("repository", '"quay:acme/{sha}"', "", "a repository for each commit"),
        ("repository", '"acme/{rep}"', "", "unknown placeholder {rep}; did you mean repo?"),
        ("repository", '"acme/{tag}"', "", "this rule has no tags"),
        ("repository", '"qua:acme/web"', "", '"qua" is none of the registries; did you mean quay?'),
        ("image_tags", "[]", "", "nothing would be built"),
        ("image_tags", '"latest"', "", 'as in image_tags = ["{ref}"]'),
        ("image_tags", '[""]', "[0]", "is empty"),
        ("image_tags", '["{ref"]', "[0]", "a stray {"),
        ("image_tags", '["{branc}"]', "[0]", "did you mean branch?"),
        ("image_tags", '["{}"]', "[0]", "unknown placeholder {}"),
        ("image_tags", '["{ref}", "{ref}"]', "[1]", "is there twice"),
        ("image_tags", '["a b"]', "[0]", 'has " "; image tags are made of'),
        ("image_tags", '["a/{ref}"]', "[0]", 'has "/"'),
        ("image_tags", '["{default_branch?a:b}"]', "[0]", 'has ":"'),
        ("image_tags", '["-{ref}"]', "[0]", 'starts with "-"'),
        ("image_tags", '[".x"]', "[0]", 'starts with "."'),
        ("image_tags", '["{default_branch?}"]', "[0]", "would always be empty"),
        ("image_tags", f'["{"x" * 128}"]', "[0]", "longer than the 127 characters"),
        ("image_tags", f'["{{sha}}-{"x" * 87}"]', "[0]", "longer than the 127 characters"),
        ("image_tags", '["{ref}", "{tag}"]', "[1]", "needs a tag for {tag}, but this rule has no tags"),
        ("dockerfile", '"/Dockerfile"', "", "is absolute"),
        ("dockerfile", '"../Dockerfile"', "", "leaves the repository"),
        ("dockerfile", '"docker/"', "", "is a folder"),
        ("dockerfile", '"."', "", "is a folder"),
        ("dockerfile", '"{repo}/Dockerfile"', "", "takes no placeholders"),
        ("context", '"/"', "", 'the root of the repository, which is "."'),
        ("context", '"a/../.."', "", "leaves the repository"),
        ("context", '""', "", 'the root of the repository is "."'),
        ("context", "'a\\b'", "", "backslash"),
        ("supersede", '"cancle"', "", "did you mean cancel?"),
        ("supersede", "true", "", "must be text"),
        ("status_context", '""', "", "is empty"),
        ("status_context", '"a\\nb"', "", "control character"),
        ("status_context", f'"{"x" * 256}"', "", "longer than the 255 characters"),
        ("status_context", '"quay/{tag}"', "", "this rule has no tags"),
        ("status_context", '"quay/{rul}"', "", "did you mean rule?"),
        ("pull_robot", '"puller"', "", "full name of a robot account"),
        ("timeout", '"0s"', "", "no time at all"),
        ("quiet_period", '"25h"', "", "from 0s to 1d"),
        ("timeout", "3600", "", "must be text in quotes"),
        ("imagetags", "[]", "", "did you mean image_tags?"),
        ("token", '"x"', "", "belongs to [forges.github]"),
        ("poll_interval", '"5s"', "", "belongs to [registries.quay]"),
    ],
)
def test_mistakes_in_a_rule(key: str, value: str, where: str | None, fragment: str) -> None:
    text = FORGE + REGISTRY + rule(**{key: value})
    mistake = only_mistake(text)
    line = max((n for n, line in enumerate(text.splitlines(), start=1) if line.startswith(f"{key} = ")), default=0)
    if where is None:
        assert (mistake.line, mistake.key) == (11, 'rules "web"')
    elif key == "name":
        assert (mistake.line, mistake.key.endswith(".name")) == (12, True)
    else:
        assert (mistake.line, mistake.key) == (line, f'rules "web".{key}{where}')
    assert fragment in mistake.what


@pytest.mark.parametrize("missing", ["source", "repository"])
def test_a_key_that_a_rule_needs_is_missed(missing: str) -> None:
    mistake = only_mistake(FORGE + REGISTRY + rule(**{missing: ""}))
    assert (mistake.line, mistake.key) == (11, 'rules "web"')
    assert mistake.what == f'{missing} is missing; write {missing} = "acme/api"'


def test_a_rule_without_a_name_is_called_by_its_number() -> None:
    assert only_mistake(GOOD + rule(name="")).key == "rules[1]"


def test_a_dockerfile_lies_inside_its_context() -> None:
    outside = only_mistake(FORGE + REGISTRY + rule(context='"docker"', dockerfile='"docker2/Dockerfile"'))
    assert outside.key == 'rules "web".dockerfile'
    assert outside.what.endswith('as in "docker/Dockerfile"')
    assert _made(context='"docker"', dockerfile='"docker/x/Dockerfile"').dockerfile == "docker/x/Dockerfile"
    assert _made(dockerfile='"x/Dockerfile"').dockerfile == "x/Dockerfile"


def test_two_rules_of_one_name_are_a_mistake_whatever_else_is_wrong_with_them() -> None:
    text = GOOD + rule(name='"api"') + rule(name='"api"', source='"other:x/y"')
    assert [(mistake.line, mistake.key) for mistake in mistakes(text)] == [
        (18, 'rules "api".name'),
        (24, 'rules "api".name'),
        (25, 'rules "api".source'),
    ]
    assert "the rule in line 12 too" in mistakes(text)[0].what


def test_one_mistake_does_not_hide_the_others_in_the_same_rule() -> None:
    text = (
        FORGE + REGISTRY + rule(branches='["***", "x", "x"]', image_tags='["{nope}", "a b"]', timeout="5", context="5")
    )
    assert [mistake.key.partition(".")[2] for mistake in mistakes(text)] == [
        "branches[0]",
        "branches[2]",
        "image_tags[0]",
        "image_tags[1]",
        "timeout",
        "context",
    ]


def test_a_wrong_list_of_refs_does_not_make_its_placeholders_wrong_too() -> None:
    text = FORGE + REGISTRY + rule(branches='"main"', image_tags='["{branch}"]')
    assert only_mistake(text).key == 'rules "web".branches'


@pytest.mark.parametrize(
    ("template", "branches", "tags", "why"),
    [
        ("{ref}-{sha}", ["main"], [], None),
        ("{branch}", ["main"], ["v*"], None),
        ("{tag}", ["main"], ["v*"], None),
        ("{default_branch?latest}", ["main"], [], None),
        ("{version}", [], ["v*"], None),
        ("{major}.{minor}", ["main"], ["**"], None),
        ("{version}", [], ["api/v[0-9]*"], None),
        ("{version}", [], ["v1.2.3"], None),
        ("{version}", [], ["!nightly-*"], None),
        ("{branch}", [], ["v*"], "needs a branch for {branch}"),
        ("{default_branch?latest}", [], ["v*"], "needs a branch for {default_branch}"),
        ("{tag}", ["main"], [], "needs a tag for {tag}"),
        ("{version?x}", ["main"], [], "needs a tag for {version}"),
        ("{version}", ["main"], ["nightly-*"], "needs a version for {version}"),
        ("{major}.{minor}", [], ["v1.2"], "needs a version for {major} and {minor}"),
        ("{version}", [], ["v*", "!v*.*.*"], "needs a version for {version}"),
        ("{branch}-{tag}", ["main"], ["v*"], "needs a branch and a tag at once ({branch} and {tag})"),
    ],
)
def test_a_template_that_no_admitted_ref_can_fill(
    template: str, branches: list[str], tags: list[str], why: str | None
) -> None:
    found = never_filled(template, branches, tags)
    assert found == why if why is None else found is not None and found.startswith(why)


def test_what_cannot_be_decided_in_time_is_accepted() -> None:
    tags = [f"*{a}*{b}*{a}*{c}*" for a in "abcd" for b in "efgh" for c in "ijkl"]
    with pytest.raises(Undecided):
        common(tuple(tags), VERSION_PATTERNS)
    assert never_filled("{version}", [], tags) is None


def _forge_of(kind: str) -> str:
    own = "" if kind in {"github", "gitlab", "bitbucket"} else 'url = "https://git.example.com"\n'
    return FORGE.replace('kind = "github"\n', f'kind = "{kind}"\n{own}')


@pytest.mark.parametrize("has_address", [True, False])
def test_a_rule_knows_whether_builders_reach_the_bot(has_address: bool) -> None:
    [made] = good((SERVER if has_address else "") + GOOD).rules
    assert (made.can_relay, made.archive, made.revision_file) == (has_address, ArchiveRoute.AUTO, None)


def test_a_way_of_the_archive_and_a_revision_file_are_read() -> None:
    [made] = good(SERVER + FORGE + REGISTRY + rule(archive='"relay"', revision_file='"./a//.revision"')).rules
    assert (made.archive, made.revision_file) == (ArchiveRoute.RELAY, "a/.revision")


@pytest.mark.parametrize(
    ("keys", "has_them"), [({}, False), ({"submodules": "false"}, False), ({"submodules": "true"}, True)]
)
def test_submodules_are_put_in_where_a_rule_says_so(keys: dict[str, str], has_them: bool) -> None:
    [made] = good(SERVER + FORGE + REGISTRY + rule(**keys)).rules
    assert (made.submodules, made.adds_to_source) == (has_them, has_them)


def test_submodules_of_a_forge_that_does_not_tell_them_are_a_mistake() -> None:
    mistake = only_mistake(SERVER + _forge_of("bitbucket") + REGISTRY + rule(submodules="true"))
    assert "does not tell which commit a submodule is at" in mistake.what


@pytest.mark.parametrize(
    ("kind", "keys", "key", "fragment"),
    [
        ("github", {"archive": '"relay"'}, ".archive", "write public_url into [server]"),
        ("github", {"archive": '"relai"'}, ".archive", "did you mean relay?"),
        ("github", {"revision_file": '".revision"'}, ".revision_file", "write public_url into [server]"),
        ("github", {"submodules": "true"}, ".submodules", "write public_url into [server]"),
        ("github", {"submodules": '"yes"'}, ".submodules", "must be true or false, as in submodules = true"),
        ("github", {"revision_file": '"../x"'}, ".revision_file", "leaves the repository"),
        ("github", {"revision_file": '"x/"'}, ".revision_file", "is a folder"),
        ("gitea", {}, "", "has to go through the bot; write public_url"),
        ("bitbucket-datacenter", {"source": '"ACME/web"'}, "", "has to go through the bot; write public_url"),
    ],
)
def test_a_way_through_the_bot_needs_its_address(kind: str, keys: dict[str, str], key: str, fragment: str) -> None:
    mistake = only_mistake(_forge_of(kind) + REGISTRY + rule(**keys))
    assert mistake.key == f'rules "web"{key}'
    assert fragment in mistake.what
    if "public_url" in fragment:
        assert mistakes(SERVER + _forge_of(kind) + REGISTRY + rule(**keys)) == ()


@pytest.mark.parametrize(
    ("keys", "wrong", "unwise"),
    [
        ({"revision_file": '"Dockerfile"'}, True, False),
        ({"revision_file": '"server/Dockerfile"', "context": '"server"'}, True, False),
        ({"revision_file": '"x/Prod"', "context": '"x"', "dockerfile": '"x/Prod"'}, True, False),
        ({"revision_file": '"Dockerfile"', "dockerfile": '"Prod"'}, False, False),
        ({"revision_file": '".revision"', "context": '"server"'}, False, True),
        ({"revision_file": '"server2/.revision"', "context": '"server"'}, False, True),
        ({"revision_file": '"server/.revision"', "context": '"server"'}, False, False),
    ],
)
def test_a_revision_file_is_where_the_build_sees_it_and_not_the_dockerfile(
    keys: dict[str, str], wrong: bool, unwise: bool
) -> None:
    text = SERVER + FORGE + REGISTRY + rule(**keys)
    assert ["is the Dockerfile" in mistake.what for mistake in mistakes(text)] == [True] * wrong
    if not wrong:
        assert ['as in "server/.revision"' in warning.what for warning in good(text).warnings] == [True] * unwise


@pytest.mark.parametrize(
    ("kind", "more", "fragment"),
    [
        ("github", {"revision_file": '"x"'}, "leave one of the two away"),
        ("github", {"submodules": "true"}, "leave one of the two away"),
        ("gitea", {}, 'kind = "forgejo"'),
        ("bitbucket-datacenter", {}, 'write archive = "relay"'),
    ],
)
def test_a_direct_way_that_never_works_is_a_mistake(kind: str, more: dict[str, str], fragment: str) -> None:
    mistake = only_mistake(SERVER + _forge_of(kind) + REGISTRY + rule(archive='"direct"', **more))
    assert fragment in mistake.what


@pytest.mark.parametrize("kind", ["github", "gitlab", "forgejo", "bitbucket"])
@pytest.mark.parametrize("archive", ["auto", "direct"])
def test_a_way_that_works_for_public_source_needs_nothing(kind: str, archive: str) -> None:
    assert mistakes(_forge_of(kind) + REGISTRY + rule(archive=f'"{archive}"')) == ()


@pytest.mark.parametrize(
    ("kind", "source", "fragment"),
    [
        ("gitlab", "group/sub/web", None),
        ("gitlab", "group/**", None),
        ("gitlab", "web", "is not owner/name"),
        ("bitbucket-datacenter", "~ada/web", None),
        ("bitbucket-datacenter", "ACME/web/x", "is not KEY/slug"),
        ("bitbucket", "acme/web/x", "is not owner/name"),
        ("github", "~ada/web", "is not owner/name"),
    ],
)
def test_a_source_is_named_as_its_forge_names_it(kind: str, source: str, fragment: str | None) -> None:
    found = mistakes(SERVER + _forge_of(kind) + REGISTRY + rule(source=f'"{source}"'))
    assert [mistake.key for mistake in found] == ([] if fragment is None else ['rules "web".source'])
    assert all(fragment in mistake.what for mistake in found if fragment)


def test_a_mistake_in_the_address_is_not_taken_for_its_absence() -> None:
    text = '[server]\npublic_url = "builds"\n' + FORGE + REGISTRY + rule(archive='"relay"')
    assert only_mistake(text).key == "server.public_url"


def test_good_rules_beside_bad_ones_are_not_reported() -> None:
    found = mistakes(FORGE + REGISTRY + RULE + rule(branches='["***"]'))
    assert [mistake.key for mistake in found] == ['rules "web".branches[0]']
