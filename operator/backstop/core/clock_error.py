"""Times in a status that lie ahead, since the clock that wrote them did.

A clock may have been set back since, or belong to a replica that is gone. Left as they are, such
times would stop everything until they are reached: no sample would be evidence, no circuit would
probe or close, no cool-down would end. So they are taken for the present, in the order in which
they are; what waits, waits from now on.

A clock that is itself behind must not do so, or it would take old evidence for new. A metrics
source does not answer to one.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

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
    latest = datetime.fromtimestamp(limit, tz=UTC)
    ahead = sorted({one for one in _times(status) if one > latest}, reverse=True)
    if not ahead:
        return status
    now = datetime.fromtimestamp(view.now, tz=UTC)
    places = {one: now - number * _ORDER for number, one in enumerate(ahead)}
    moved: ModelMonitorStatus = _moved(status, places)
    return moved


def _fields(model: ApiModel) -> Iterator[tuple[str, object]]:
    """Yield the fields of ``model``; those of a promotion are left out, as it is known by them."""
    for name, value in model:
        promoting = isinstance(value, CandidateStatus) and value.phase is TrialPhase.PROMOTING
        if name not in _ELSEWHERE and not promoting:
            yield name, value


def _times(part: object) -> Iterator[datetime]:
    """Yield all times in a part of a status that are not to lie ahead."""
    if isinstance(part, datetime):
        yield part
    elif isinstance(part, ApiModel):
        for name, value in _fields(part):
            if name not in _ENDS:
                yield from _times(value)
    elif isinstance(part, list):
        for one in part:
            yield from _times(one)


def _moved(part: Any, places: Mapping[datetime, datetime]) -> Any:
    """Return a part of a status with the times that ``places`` holds in their new places."""
    if isinstance(part, datetime):
        return places.get(part, part)
    if isinstance(part, ApiModel):
        return part.model_copy(
            update={
                name: _moved_end(part, name, value, places)
                if name in _ENDS
                else _moved(value, places)
                for name, value in _fields(part)
            }
        )
    if isinstance(part, list):
        return [_moved(one, places) for one in part]
    return part


def _moved_end(part: ApiModel, name: str, end: Any, places: Mapping[datetime, datetime]) -> Any:
    """Return the time ``end`` as long after the one that it counts from as it was."""
    begin = getattr(part, _ENDS[name])
    return places[begin] + (end - begin) if end is not None and begin in places else end
