"""Times in a status that lie ahead, since the clock that wrote them did.

A clock may have been set back since, or belong to a replica that is gone. Left as they are, such
times would stop everything until they are reached: no sample would be evidence, no circuit would
probe or close, no cool-down would end. So they are taken for the present, in the order in which
they are; what waits, waits from now on.

A clock that is itself behind must not do so, or it would take old evidence for new. A metrics
source does not answer to one.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, get_args

from backstop.api.base import ApiModel
from backstop.api.status import CandidateStatus, ModelMonitorStatus
from backstop.api.words import TrialPhase
from backstop.core.view import View

AHEAD: Final = 5.0
"""Times that are ahead by no more than this many seconds are soon reached."""

_ENDS: Final = {"next_probe": "since", "expires": "asked"}
"""Times that are to lie ahead, and those that they count from."""

_ELSEWHERE: Final = frozenset({"signals", "conditions", "tests"})
"""Fields of a status that hold no time, or none that anything is decided by."""

_ORDER: Final = timedelta(microseconds=1)


def corrected(view: View) -> ModelMonitorStatus:
    """Return the status of ``view`` without times that lie ahead.

    What is under way keeps its times: the id of an action may follow from them.
    """
    status, limit = view.status, view.now + AHEAD
    if not view.look.answered or status.action is not None:
        return status
    known: list[datetime] = []
    _gather(status, known)
    latest = datetime.fromtimestamp(limit, tz=UTC)
    ahead = sorted({one for one in known if one > latest}, reverse=True)
    if not ahead:
        return status
    now = datetime.fromtimestamp(view.now, tz=UTC)
    places = {one: now - number * _ORDER for number, one in enumerate(ahead)}
    moved: ModelMonitorStatus = _moved(status, places)
    return moved


@cache
def _with_times(kind: type[ApiModel]) -> tuple[str, ...]:
    """Return which fields of a model may hold times: few of many, as each look walks them all."""
    fields = kind.model_fields.items()
    return tuple(
        name
        for name, field in fields
        if name not in _ELSEWHERE and _may_hold_time(field.annotation)
    )


def _may_hold_time(annotation: object) -> bool:
    if isinstance(annotation, type) and not get_args(annotation):
        return issubclass(annotation, datetime | ApiModel)
    return any(_may_hold_time(one) for one in get_args(annotation))


def _fields(model: ApiModel) -> tuple[str, ...]:
    """Return the fields to look at; a promotion has none, as it is known by its times."""
    promoting = isinstance(model, CandidateStatus) and model.phase is TrialPhase.PROMOTING
    return () if promoting else _with_times(type(model))


def _gather(model: ApiModel, known: list[datetime]) -> None:
    """Add to ``known`` all times in a part of a status that are not to lie ahead."""
    for name in _fields(model):
        value = getattr(model, name)
        if name in _ENDS or value is None:
            continue
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, datetime):
                known.append(one)
            else:
                _gather(one, known)


def _moved(part: Any, places: Mapping[datetime, datetime]) -> Any:
    """Return a part of a status with the times that ``places`` holds in their new places."""
    if isinstance(part, datetime):
        return places.get(part, part)
    if isinstance(part, list):
        return [_moved(one, places) for one in part]
    if part is None:
        return None
    changes = {name: _moved_field(part, name, places) for name in _fields(part)}
    return part.model_copy(update=changes)


def _moved_field(part: ApiModel, name: str, places: Mapping[datetime, datetime]) -> Any:
    """Return a field in its new place; an end is as long after its beginning as it was."""
    value = getattr(part, name)
    if name not in _ENDS:
        return _moved(value, places)
    begin = getattr(part, _ENDS[name])
    return places[begin] + (value - begin) if value is not None and begin in places else value
