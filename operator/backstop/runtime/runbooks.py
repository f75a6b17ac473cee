"""The Runbook objects that monitors name, as the watch last showed them.

One that the watch has not shown yet is read; one that is absent or wrong is a problem of the
monitors that name it, and the built-in steps hold meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from backstop.adapters.paths import namespaced
from backstop.api import API_VERSION
from backstop.api.conditions import ConditionType, Reason
from backstop.api.runbook import Causes, RunbookSpec
from backstop.core.conditions import Problem
from backstop.core.facts import ObjectRef
from backstop.ports import KubeApi, NotFoundError, OutsideError
from backstop.runtime.record import Record

INLINE: Final = "inline"
BUILT_IN: Final = "built-in"


@dataclass(frozen=True, slots=True)
class Known:
    """A runbook for a monitor: its steps, what it is called, and what is wrong with it."""

    steps: Causes | None = None
    name: str = BUILT_IN
    problem: Problem | None = None


@dataclass(slots=True)
class Runbooks:
    """Runbooks by name."""

    api: KubeApi
    _known: dict[ObjectRef, RunbookSpec | Problem] = field(default_factory=dict)

    def saw(self, ref: ObjectRef, body: Mapping[str, Any] | None) -> None:
        """Take note of a watched Runbook, ``None`` when it is gone."""
        self._known[ref] = _understood(ref, body)

    async def of(self, record: Record) -> Known:
        """Return the runbook of a monitor."""
        use = record.spec.runbook if record.spec else None
        if use is None or use.name is None:
            return Known() if use is None or _empty(use) else Known(use, INLINE)
        ref = ObjectRef("Runbook", record.namespace, use.name)
        found = self._known.get(ref)
        if found is None:
            found = await self._read(ref)
        if isinstance(found, Problem):
            return Known(problem=found)
        return Known(found, use.name)

    async def _read(self, ref: ObjectRef) -> RunbookSpec | Problem:
        path = namespaced(API_VERSION, ref.namespace, "runbooks", ref.name)
        try:
            body: Mapping[str, Any] | None = await self.api.get(path)
        except NotFoundError:
            body = None
        except OutsideError as error:
            return Problem(ConditionType.READY, Reason.RUNBOOK_NOT_READABLE, str(error))
        # What the watch has told meanwhile is newer, and perhaps its last word.
        return self._known.setdefault(ref, _understood(ref, body))


def _empty(use: Causes) -> bool:
    return all(one is None for one in (use.data, use.model, use.infrastructure, use.release))


def _understood(ref: ObjectRef, body: Mapping[str, Any] | None) -> RunbookSpec | Problem:
    if body is None:
        said = f"{ref} does not exist in namespace {ref.namespace}: create it, or correct its name"
        return Problem(ConditionType.READY, Reason.RUNBOOK_NOT_FOUND, said)
    try:
        return RunbookSpec.model_validate(body.get("spec") or {})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        said = f"{ref} is not valid: {place}: {first['msg']}"
        return Problem(ConditionType.READY, Reason.RUNBOOK_NOT_READABLE, said, stalled=True)
