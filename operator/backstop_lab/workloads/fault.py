"""What is wrong with a model service: set by its environment, changed by `POST /admin/fault`.

Faults are part of the pod template (a bad release is a change of its environment), and the
endpoint exists so that a benchmark can set one at an exact time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Fault(BaseModel):
    """How the service misbehaves from now on. Unknown fields are refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )

    error_rate: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of answers with status 500."""

    extra_latency_ms: Annotated[float, Field(ge=0, le=60_000)] = 0.0
    """Milliseconds added to each answer."""

    health_gauge: float | None = None
    """Value for `model_health_gauge`; None leaves it as it is."""

    fail_after_seconds: Annotated[float, Field(ge=0)] = 0.0
    """For how long after it was set the fault stays hidden."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read ERROR_RATE, EXTRA_LATENCY_MS and FAIL_AFTER_SECONDS. Raises pydantic's error."""
        return cls.model_validate(
            {
                name.lower(): environment[name]
                for name in ("ERROR_RATE", "EXTRA_LATENCY_MS", "FAIL_AFTER_SECONDS")
                if environment.get(name)
            }
        )


class ActiveFault:
    """A fault since it was set."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._shows_at = time.monotonic() + fault.fail_after_seconds

    def latency(self) -> float:
        """Return the seconds to add to an answer now."""
        return self.fault.extra_latency_ms / 1000 if self._shows() else 0.0

    def strikes(self) -> bool:
        """Return whether this answer is to be an error."""
        return self._shows() and random.random() < self.fault.error_rate  # noqa: S311

    def _shows(self) -> bool:
        return time.monotonic() >= self._shows_at
