"""What is left in a monitor's status when Backstop is uninstalled and its traffic was put back.

Whatever was under way is at an end: the next Backstop begins with a look of its own, and takes none
of this for something that it has begun itself.
"""

from typing import Final

from backstop.api.conditions import ConditionType, Reason
from backstop.api.status import CircuitStatus, ModelMonitorStatus
from backstop.core import episode as episodes
from backstop.core import trials
from backstop.core.conditions import Problem, summarize

WHY: Final = "Backstop was uninstalled: nobody watches this model"


def stood_down(
    status: ModelMonitorStatus,
    *,
    monitor: str,
    generation: int,
    has_route: bool,
    note: str,
    now: float,
) -> ModelMonitorStatus:
    """Return ``status`` of ``monitor`` with nothing under way any more at Unix time ``now``.

    ``note`` says what was put back, ``""`` where nothing had been moved.
    """
    episode = episodes.under_way(status)
    said = f"{WHY}; {note}" if note else WHY
    ended = status.model_copy(
        update={
            "incident": status.incident if episode is None else episodes.resolve(episode, now),
            "circuit": CircuitStatus(),
            "shifted": [],
            "candidate": None if trials.has_share(status) else status.candidate,
            "action": None,
            "approval": None,
            "held": "",
            "why": said[:1024],
        }
    )
    problem = Problem(ConditionType.READY, Reason.STOOD_DOWN, said)
    return summarize(
        ended, [problem], monitor=monitor, generation=generation, has_route=has_route, now=now
    )
