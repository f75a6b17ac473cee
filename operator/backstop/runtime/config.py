"""The operator's own configuration: where metrics come from, and what is allowed.

Only this file names URLs that are read or told about incidents, and only it allows hosts to be
called; a monitor names a source, never an address. docs/configuration.md lists every key.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    ValidationError,
    model_validator,
)
from pydantic.alias_generators import to_camel

from backstop.adapters.destinations import Allowed, Destination, Rule, parse, rule
from backstop.adapters.metrics.bounded_http import Access, Login
from backstop.adapters.webhooks import SecretError, read_secret
from backstop.api.forms import FORMS
from backstop.api.modelmonitor import WorkloadKind
from backstop.core.units import DnsLabel, DnsName, Duration, LabelName, Percent, fraction, seconds
from backstop.ports import InvalidError
from backstop.runtime.manifests import Loader, TwiceError

_SAID: Final = {
    "extra_forbidden": "there is no such key; docs/configuration.md lists all",
    "missing": "is required",
    "url_parsing": "write a URL, for example http://prometheus.monitoring:9090",
    "url_scheme": "write a URL with http:// or https://",
    "string_type": "write it as text, in quotes",
    "int_type": "write a whole number",
    "model_type": "write its keys below it; docs/configuration.md lists them",
}


RouterKind = Literal[
    "HTTPRoute",
    "GRPCRoute",
    "VirtualService",
    "Ingress",
    "Service",
    "ReplicaRatio",
    "InferenceService",
]


class ConfigError(ValueError):
    """The configuration cannot be used; the message says what to change."""


class _ConfigModel(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
    )


def _host(text: str) -> str:
    rule(text)
    return text


def _plain(url: HttpUrl) -> HttpUrl:
    if url.query is not None or url.fragment is not None:
        raise ValueError("leave out what begins with ? or #: paths of the query API are appended")
    return url


def _destination(url: str) -> str:
    try:
        return parse(url).url
    except InvalidError as error:
        raise ValueError(str(error)) from None


Count = Annotated[int, Field(ge=1, le=100_000, strict=True)]
"""How many, from 1 to 100,000."""


class BasicAuthConfig(_ConfigModel):
    """Who asks a metrics source."""

    username: Annotated[str, Field(min_length=1, max_length=256, pattern="^[^:]*$")]
    """The name; it has no colon."""

    password_file: Path
    """File with the password; read for each query, so that it may be rotated."""

    @property
    def login(self) -> Login:
        """The user as requests name it."""
        return Login(self.username, self.password_file)


class SourceConfig(_ConfigModel):
    """One Prometheus-compatible server."""

    url: Annotated[HttpUrl, AfterValidator(_plain)]
    """Where it is."""

    timeout: Duration = "5s"
    """A query that takes longer counts as failed. While the source answers others, such a query is
    only tried every 5 to 30 s, so that nobody else waits for it."""

    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with each query, for example `X-Scope-OrgID`."""

    bearer_token_file: Path | None = None
    """File with a token; read for each query, so that it may be rotated."""

    basic_auth: BasicAuthConfig | None = None
    """A user and a password instead of a token."""

    ca_file: Path | None = None
    """File with the certificates that the server's is held against, instead of the usual ones."""

    tenant_label: LabelName | None = None
    """Label of all metrics that names the namespace they come from, for example `namespace`: a
    monitor then reads only the metrics of its own namespace. Without it, all."""

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if self.bearer_token_file is not None and self.basic_auth is not None:
            raise ValueError("give bearerTokenFile or basicAuth, not both")
        return self

    @property
    def access(self) -> Access:
        """How it is reached."""
        return Access(
            headers=self.headers,
            token_file=self.bearer_token_file,
            login=self.basic_auth.login if self.basic_auth else None,
            ca_file=self.ca_file,
            deadline=seconds(self.timeout),
        )


class WebhooksConfig(_ConfigModel):
    """Which programs `callWebhook` may call."""

    allowed_hosts: Annotated[list[Annotated[str, AfterValidator(_host)]], Field(max_length=256)] = (
        Field(default_factory=list)
    )
    """`host`, `host:port` or `*.suffix`; without a port that of http or https is meant. None is
    allowed unless it is listed."""

    secret_file: Path | None = None
    """File with the key of signatures, at least 16 bytes; required where a host is allowed."""

    timeout: Duration = "5s"
    """A call that takes longer, or more than a minute, counts as failed."""

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.allowed_hosts and self.secret_file is None:
            raise ValueError("secretFile is required where hosts are allowed: calls are signed")
        return self

    @property
    def allowed(self) -> Allowed:
        """The destinations that may be called."""
        return Allowed.of(self.allowed_hosts)

    @property
    def deadline(self) -> float:
        """``timeout`` in seconds."""
        return seconds(self.timeout)


class NotificationsConfig(_ConfigModel):
    """Where notifications go, beside Events and the log."""

    url: Annotated[str, AfterValidator(_destination)]
    """Where they are POSTed; its host needs no entry in `webhooks.allowedHosts`."""

    secret_file: Path | None = None
    """File with the key of signatures, at least 16 bytes; without it they are not signed."""

    timeout: Duration = "5s"
    """A POST that takes longer counts as failed, and is repeated."""

    page_only: bool = False
    """Whether only notifications are POSTed that shall wake somebody."""

    @property
    def allowed(self) -> Allowed:
        """The receiver, and nothing else."""
        to: Destination = parse(self.url)
        return Allowed((Rule(to.host, to.port),), "notifications.url")

    @property
    def address(self) -> str:
        """The receiver's URL."""
        return self.url

    @property
    def deadline(self) -> float:
        """``timeout`` in seconds."""
        return seconds(self.timeout)


class BudgetsConfig(_ConfigModel):
    """How much all monitors together may do."""

    actions_per_hour_per_namespace: Count = 20
    """Actions in an hour on the monitors of one namespace."""

    actions_per_hour: Count = 60
    """Actions in an hour on all monitors."""

    blast_radius: Percent = "20%"
    """Of the monitors that may act, the share that may have an incident with actions at the same
    time; beyond it no other begins to act."""

    blast_radius_at_least: Count = 5
    """As many may act at the same time in any case, whatever share that is."""

    @property
    def blast_radius_share(self) -> float:
        """``blast_radius`` as a share in [0, 1]."""
        return fraction(self.blast_radius)


class MetricsConfig(_ConfigModel):
    """What Backstop tells of itself at `/metrics`."""

    monitors_at_most: Annotated[int, Field(ge=0, le=100_000, strict=True)] = 500
    """Up to so many monitors each has series of its own; with more, or with 0, none has."""


class OperatorConfig(_ConfigModel):
    """What a platform engineer decides."""

    sources: dict[DnsLabel, SourceConfig] = Field(min_length=1, max_length=64)
    """Prometheus-compatible servers by name; `default` is that of monitors that name none."""

    targets: Annotated[list[WorkloadKind], Field(min_length=1)] = Field(
        default_factory=lambda: list(get_args(WorkloadKind))
    )
    """Kinds that a monitor may name as target or candidate."""

    routers: list[RouterKind] = Field(default_factory=lambda: list(get_args(RouterKind)))
    """Kinds that a monitor may name as router; `ReplicaRatio` is that without an object."""

    secret_changes: bool = True
    """Whether a changed Secret counts as a change of the target; only metadata is read."""

    webhooks: WebhooksConfig = WebhooksConfig()
    """Which programs `callWebhook` may call."""

    notifications: NotificationsConfig | None = None
    """Where notifications go, beside Events and the log."""

    budgets: BudgetsConfig = BudgetsConfig()
    """How much all monitors together may do."""

    metrics: MetricsConfig = MetricsConfig()
    """What Backstop tells of itself at `/metrics`."""

    kill_switch: DnsName = "backstop-kill-switch"
    """ConfigMap in the namespace of the lease that stops all actions."""

    responder_image: str = "backstop"
    """Image of the Deployment that gives default predictions."""

    concurrent_writes: Annotated[int, Field(ge=1, le=256)] = 32
    """How many monitors are written at the same time, 1 to 256."""

    @property
    def tenant_labels(self) -> dict[str, str]:
        """The labels that confine questions to the namespace of a monitor, by source."""
        found = {name: source.tenant_label for name, source in self.sources.items()}
        return {name: label for name, label in found.items() if label is not None}

    @property
    def enabled(self) -> frozenset[str]:
        """The kinds of targets and routers."""
        return frozenset(self.targets) | frozenset(self.routers)


def load(path: Path | None, prometheus: str | None) -> OperatorConfig:
    """Return the configuration from ``path``, with ``prometheus`` as the URL of `default`.

    Raises:
        ConfigError: nothing names a source, a file cannot be read, or a value is wrong.
    """
    raw = _read(path)
    if prometheus is not None:
        sources = raw.get("sources") or {}
        if not isinstance(sources, dict):
            raise ConfigError(f"{path}: sources must be a mapping of name to {{url: ...}}")
        known = sources.get("default")
        default = {**known, "url": prometheus} if isinstance(known, dict) else {"url": prometheus}
        raw = {**raw, "sources": {**sources, "default": default}}
    if not raw.get("sources"):
        raise ConfigError("no metrics source: give --prometheus URL, or --config FILE with sources")
    # A key without a value is left to its default, as people leave headings empty.
    raw = {key: value for key, value in raw.items() if value is not None}
    try:
        config = OperatorConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"configuration: {_words(error)}") from None
    _check_secrets(config)
    return config


def _read(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
        raw = yaml.load(text, Loader=Loader) or {}  # noqa: S506 - it is a safe one
    except TwiceError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"cannot read {path}: the key in line {line} is written twice") from None
    except (ValueError, yaml.YAMLError) as error:
        # Its own words quote the line, which may hold a header with a token.
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        raise ConfigError(f"cannot read {path}: it is not YAML in UTF-8{where}") from None
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping with the key sources")
    return raw


def _words(error: ValidationError) -> str:
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"])
    form = FORMS.get(str(first.get("ctx", {}).get("pattern")))
    if form is not None:
        return f"{place}: write {form.advice}"
    return f"{place}: {_SAID.get(first['type'], first['msg'].removeprefix('Value error, '))}"


def _check_secrets(config: OperatorConfig) -> None:
    # Wrong keys are better found at the start than in an incident.
    for key, part in (("webhooks", config.webhooks), ("notifications", config.notifications)):
        if part is None or part.secret_file is None:
            continue
        try:
            read_secret(part.secret_file)
        except SecretError as error:
            raise ConfigError(f"configuration: {key}.secretFile: {error}") from None
