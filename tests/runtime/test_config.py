"""The operator's configuration: every mistake is a sentence, and the page lists every key."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from backstop.adapters.destinations import Destination
from backstop.runtime.config import ConfigError, OperatorConfig, load

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
KEY = "0123456789abcdef"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a configuration; KEY in it becomes a file with a key."""
    key = tmp_path / "key"
    key.write_text(f"{KEY}\n")

    def file(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text.replace("KEY", str(key)), encoding="utf-8")
        return path

    return file


def loaded(path: Path) -> OperatorConfig:
    return load(path, "http://prometheus:9090")


def destination(url: str) -> Destination:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.partition(":")
    return Destination(scheme, host, int(port or {"http": 80, "https": 443}[scheme]))


def test_little_is_needed(write):
    """A source is enough: no host may be called, nobody is notified, and the budgets are small."""
    config = load(None, "http://prometheus:9090")
    assert config == loaded(write("budgets:\nwebhooks:\n")) == loaded(write(""))
    assert not config.webhooks.allowed.allows(destination("http://prometheus:9090"))
    assert config.notifications is None
    assert config.kill_switch == "backstop-kill-switch"
    budgets = config.budgets
    assert (budgets.actions_per_hour_per_namespace, budgets.actions_per_hour) == (20, 60)
    assert (budgets.blast_radius_share, budgets.blast_radius_at_least) == (0.2, 5)


def test_everything_can_be_said(write):
    """The adapters get what the file says."""
    config = loaded(
        write("""
            webhooks:
              allowedHosts: [hooks.example.com, "10.0.0.7:8443", "*.internal"]
              secretFile: KEY
              timeout: 2s
            notifications:
              url: https://Chat.example.com:8443/services/x?y=1
              secretFile: KEY
              timeout: 500ms
              pageOnly: true
            budgets: {actionsPerHourPerNamespace: 1, actionsPerHour: 2, blastRadius: 2.5%,
                      blastRadiusAtLeast: 3}
            killSwitch: stop-all
            """)
    )
    allowed = config.webhooks.allowed
    assert allowed.allows(destination("https://hooks.example.com"))
    assert allowed.allows(destination("http://10.0.0.7:8443"))
    assert allowed.allows(destination("http://a.internal"))
    assert not allowed.allows(destination("http://chat.example.com:8443"))
    assert config.webhooks.deadline == 2.0
    told = config.notifications
    assert told is not None
    assert told.address == "https://chat.example.com:8443/services/x?y=1"
    assert told.allowed.allows(destination("https://chat.example.com:8443"))
    assert not told.allowed.allows(destination("https://chat.example.com"))
    assert (told.deadline, told.page_only) == (0.5, True)
    assert told.secret_file is not None
    assert told.secret_file.read_text().strip() == KEY
    assert config.budgets.blast_radius_share == 0.025
    assert config.kill_switch == "stop-all"


LOGIN = "{username: u, passwordFile: p}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("webhook: {}", "webhook: there is no such key; docs/configuration.md lists all"),
        ("webhooks: {allowHosts: []}", "webhooks.allowHosts: there is no such key; "),
        ("webhooks: all", "webhooks: write its keys below it"),
        ("webhooks: {allowedHosts: ['*']}", "webhooks.allowedHosts.0: '*' is no host: write for "),
        ("webhooks: {allowedHosts: [a.com/x], secretFile: KEY}", "'a.com/x' is no host"),
        ("webhooks: {allowedHosts: [a.com]}", "webhooks: secretFile is required where hosts are "),
        ("webhooks: {timeout: 5}", "webhooks.timeout: write it as text"),
        ("webhooks: {timeout: 5 s}", "webhooks.timeout: write a whole number and ms, s, m, h or d"),
        ("webhooks: {secretFile: /absent}", "webhooks.secretFile: /absent cannot be read"),
        ("notifications: {}", "notifications.url: is required"),
        ("notifications: {url: 'slack://x'}", "notifications.url: cannot call 'slack://x': write "),
        ("notifications: {url: 'http://u:p@x'}", "without user, password"),
        (
            "notifications: {url: 'http://x', secretFile: /absent}",
            "notifications.secretFile: /absent cannot be read",
        ),
        ("budgets: {actionsPerHour: 0}", "budgets.actionsPerHour: Input should be greater than"),
        ("budgets: {actionsPerHour: 1.5}", "budgets.actionsPerHour: write a whole number"),
        ("budgets: {actionsPerHour: true}", "budgets.actionsPerHour: write a whole number"),
        ("budgets: {blastRadius: 101%}", "budgets.blastRadius: write a number from 0 to 100 and %"),
        ("budgets: {blastRadius: 20}", "budgets.blastRadius: write it as text"),
        ("budgets: {blastRadiusAtLeast: 0}", "budgets.blastRadiusAtLeast: Input should be "),
        ("killSwitch: Stop_All", "killSwitch: write lower-case letters, digits and -"),
        ("sources: {a: {}}", "sources.a.url: is required"),
        ("sources: {a: {url: 'http://x/?y=1'}}", "sources.a.url: leave out what begins with ? or"),
        ("sources: {a: {url: 'http://x/#y'}}", "sources.a.url: leave out what begins with ? or #"),
        (
            "sources: {default: {tenantLabel: a-b}}",
            "sources.default.tenantLabel: write letters, digits and _, without a digit in front",
        ),
        (
            f"sources: {{a: {{url: 'http://x', bearerTokenFile: t, basicAuth: {LOGIN}}}}}",
            "sources.a: give bearerTokenFile or basicAuth, not both",
        ),
        (
            "sources: {a: {url: 'http://x', basicAuth: {username: 'a:b', passwordFile: p}}}",
            "sources.a.basicAuth.username: ",
        ),
        ("sources: [a]", "sources must be a mapping of name to"),
        ("- a", "must hold a mapping"),
        ("a: [", "cannot read"),
        ("a: \x00", "cannot read"),
        ("killSwitch: a\nkillSwitch: b", "the key in line 2 is written twice"),
    ],
)
def test_mistakes_are_sentences(write, text, said):
    """The sentence names the key and says how to write it."""
    with pytest.raises(ConfigError) as caught:
        loaded(write(text))
    assert said in str(caught.value)


def test_a_url_on_the_command_line_leaves_the_source_confined(write):
    """It replaces the URL alone: what else the file says of the source `default` still holds."""
    config = loaded(write("sources: {default: {url: 'http://old', tenantLabel: namespace}}"))
    assert str(config.sources["default"].url) == "http://prometheus:9090/"
    assert config.tenant_labels == {"default": "namespace"}
    assert load(None, "http://prometheus:9090").tenant_labels == {}


def test_a_short_key_is_found_at_the_start(write, tmp_path):
    """Not in the incident in which the first call is signed; the key itself is not shown."""
    (tmp_path / "key").write_text("tooshort\n")
    with pytest.raises(ConfigError) as caught:
        loaded(write("webhooks: {secretFile: KEY}"))
    assert "holds a key of 8 bytes: write one of at least 16" in str(caught.value)
    assert "tooshort" not in str(caught.value)


def test_without_a_source_nothing_starts():
    """The message names both ways to give one."""
    with pytest.raises(ConfigError, match="--prometheus URL, or --config FILE"):
        load(None, None)


def test_a_file_that_is_absent(tmp_path):
    """A wrong path is a sentence."""
    with pytest.raises(ConfigError, match="cannot read"):
        load(tmp_path / "absent", None)


def part_of(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as ``dict[str, Model]`` or ``Model | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(part_of, get_args(annotation))), None)


def rows(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """Return the rows of the page's table, one for each key."""
    for name, field in model.model_fields.items():
        key = f"{path}{field.alias or name}"
        part = part_of(field.annotation)
        value = field.get_default(call_default_factory=True)
        default = (
            ""
            if part or value in (None, {}, [])
            else f"`{str(value).replace('F', 'f').replace('T', 't')}`"
        )
        default = "all" if isinstance(value, list) and value else default
        default = "required" if field.is_required() else default
        meaning = " ".join((field.description or "").split()).replace("|", "\\|")
        yield f"| `{key}` | {default} | {meaning} |"
        if part is not None:
            named = str(field.annotation).startswith("dict")
            yield from rows(part, f"{key}.NAME." if named else f"{key}.")


def test_the_page_lists_every_key():
    """The table says what the models say; where they differ, this shows what to write."""
    page = PAGE.read_text(encoding="utf-8")
    table = re.findall(r"^\| `.*$", page, re.MULTILINE)
    assert table == list(rows(OperatorConfig))


def test_the_examples_on_the_page_work(write):
    """Each can be used as it is, once the key exists."""
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        assert yaml.safe_load(block)
        loaded(write(re.sub(r"(?m)File: .*$", "File: KEY", block)))
