"""The operator's own configuration: where metrics come from, and what is allowed.

Only this file names URLs; a monitor names a source, never an address.
"""

from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError
from pydantic.alias_generators import to_camel

from backstop.core.units import DnsLabel, Duration


class ConfigError(ValueError):
    """The configuration cannot be used; the message says what to change."""


class _ConfigModel(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid"
    )


class SourceConfig(_ConfigModel):
    """One Prometheus-compatible server."""

    url: HttpUrl
    timeout: Duration = "5s"
    headers: dict[str, str] = Field(default_factory=dict)
    bearer_token_file: Path | None = None
    ca_file: Path | None = None


class OperatorConfig(_ConfigModel):
    """What a platform engineer decides."""

    sources: dict[DnsLabel, SourceConfig] = Field(min_length=1, max_length=64)
    responder_image: str = "backstop"
    """Image of the Deployment that gives default predictions."""

    concurrent_writes: Annotated[int, Field(ge=1, le=256)] = 32


def load(path: Path | None, prometheus: str | None) -> OperatorConfig:
    """Return the configuration from ``path``, with ``prometheus`` as the source `default`.

    Raises:
        ConfigError: nothing names a source, the file cannot be read, or a value is wrong.
    """
    raw: dict[str, object] = {}
    if path is not None:
        try:
            raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
            raise ConfigError(f"cannot read {path}: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} must hold a mapping with the key sources")
    if prometheus is not None:
        sources = raw.get("sources") or {}
        if not isinstance(sources, dict):
            raise ConfigError(f"{path}: sources must be a mapping of name to {{url: ...}}")
        raw = {**raw, "sources": {**sources, "default": {"url": prometheus}}}
    if not raw.get("sources"):
        raise ConfigError("no metrics source: give --prometheus URL, or --config FILE with sources")
    try:
        return OperatorConfig.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"configuration: {place}: {first['msg']}") from None
