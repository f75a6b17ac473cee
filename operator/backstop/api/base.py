"""The base of all API models: camel case outside, frozen inside, unknown fields refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from backstop.core.cel import Part


class ApiModel(Part):
    """A part of a custom resource."""

    def to_json(self) -> dict[str, Any]:
        """Return the JSON form, without fields that are unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass(frozen=True, slots=True)
class KeyedBy:
    """Annotates a list whose items are told apart by some of their fields, all of them required.

    The API server then merges the list item by item, and refuses two items with equal keys.
    """

    keys: tuple[str, ...]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._require_unique, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {
            **handler(schema),
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": list(self.keys),
        }

    def _require_unique(self, items: Sequence[BaseModel]) -> Sequence[BaseModel]:
        seen: set[tuple[str, ...]] = set()
        for item in items:
            key = tuple(str(getattr(item, name)) for name in self.keys)
            if key in seen:
                raise ValueError(
                    f"two entries have the {' and '.join(self.keys)} {' and '.join(key)!r}:"
                    " give each its own"
                )
            seen.add(key)
        return items


def _to_datetime(value: object) -> object:
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, tz=UTC)
    return _parsed(value) if isinstance(value, str) else value


def _parsed(text: str) -> datetime:
    """Return the time that ``text`` says; one without a time zone is refused, as Kubernetes does.

    Text must be read here: a validator that runs before pydantic's own keeps it from knowing that
    the value came from JSON, where text is the strict form of a time.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise ValueError(f'"{text}" is not a time; write for example 2026-11-23T07:30:00Z')
    return time


def _to_micro_time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


MicroTime = Annotated[
    datetime,
    BeforeValidator(_to_datetime),
    PlainSerializer(_to_micro_time, return_type=str, when_used="json"),
]
"""A time with microseconds, as Kubernetes writes it; a Unix time in seconds is accepted too."""


def _to_time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    datetime,
    BeforeValidator(_to_datetime),
    PlainSerializer(_to_time, return_type=str, when_used="json"),
]
"""A time with seconds, as metav1.Condition demands it."""
