"""How close a workload is to what it was given, and how far below its usual load.

Saturation is a cause that users may not feel yet, so a breach is reported and changes nothing
unless the signal says otherwise.
"""

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from statistics import median
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import Field

from backstop.core import promql
from backstop.core.cel import Part, cel
from backstop.core.measurement import (
    Measured,
    Measurement,
    Missing,
    Pillar,
    Question,
    Selector,
    UnknownReason,
)
from backstop.core.measures.measure import one_number, summed_increase
from backstop.core.measures.saturation import (
    Cpu,
    Gpu,
    GpuMemory,
    Level,
    Memory,
    Pods,
    Queue,
    Saturation,
)
from backstop.core.presets.preset import Preset, demand
from backstop.core.signals.rule import Asked, OnBreach, Rule, Subject
from backstop.core.tally import MOST, Answers, Tally
from backstop.core.units import Bound, Duration, Percent, fraction, limit, say_share

_KEPT_PART: Final = 10.0
"""An answer is good for the window divided by this: a mean over it can hardly change sooner."""


class Over(StrEnum):
    """What is held against the limit where there are several pods."""

    WORST = "Worst"
    """The fullest pod."""

    MEAN = "Mean"
    """The mean of the pods."""


class Throughput(Part):
    """Requests per second, held against the same time in the past."""

    requests: Selector | None = None
    """Selector of the counter of all requests. A preset knows it."""

    offsets: Annotated[list[Duration], Field(min_length=1, max_length=8)] = Field(
        default_factory=lambda: ["7d", "14d", "21d", "28d"]
    )
    """How long ago the past is that counts; the median of what there is of it is the usual load."""

    min_events: Annotated[int, Field(ge=1, le=1_000_000_000)] = 100
    """With fewer requests than this in a usual window, chance explains too much."""

    def resolved(self, preset: Preset | None) -> Self:
        """Return this with the preset's counter where the spec leaves it to the preset."""
        if self.requests is not None:
            return self
        known = demand(preset, "counter of requests", lambda known: known.errors)
        return self.model_copy(update={"requests": known.whole})

    def asks(self, pods: Pods, window: str) -> Mapping[str, str]:
        """Return PromQL for requests in the window and in the same one of each past."""
        requests, labels = self.requests or "", pods.labels
        return {"now": summed_increase(requests, labels, window, "")} | {
            offset: summed_increase(requests, labels, window, f"offset {offset}")
            for offset in self.offsets
        }

    def usual(self, answers: Answers) -> tuple[float, int] | Missing:
        """Return the usual number of requests in a window, and how many pasts say so."""
        past = [
            number for offset in self.offsets if _is_count(number := one_number(answers[offset]))
        ]
        if not past:
            why = f"nothing is known of requests {', '.join(self.offsets)} ago"
            return Missing(UnknownReason.NO_DATA, why)
        usual = median(past)
        if usual < self.min_events:
            why = f"{usual:,.0f} requests are usual in the window, need {self.min_events}"
            return Missing(UnknownReason.INSUFFICIENT_DATA, why)
        return usual, len(past)


_SHARES: Final = ("cpu", "memory", "gpu", "gpuMemory")
_ALL: Final = (*_SHARES, "queue", "throughput")
_FIELDS: Final = {name: name.replace("gpuMemory", "gpu_memory") for name in _ALL}


def _is_full(self: Any) -> bool:
    return any(getattr(self, _FIELDS[name]) is not None for name in _SHARES)


@cel(
    "has(self.throughput) == has(self.min) && !(has(self.throughput) && has(self.max))",
    "throughput needs min and has no max, for example min: 50%; the others have no min",
    lambda self: (
        (self.throughput is None) == (self.min is None)
        and (self.throughput is None or self.max is None)
    ),
)
@cel(
    "!has(self.queue) || (has(self.max) && self.max.matches('^[0-9](.*[0-9])?$'))",
    'queue needs max, a number in quotes, for example max: "20"',
    lambda self: (
        self.queue is None
        or (self.max is not None and self.max[0].isdigit() and self.max[-1].isdigit())
    ),
)
@cel(
    f"!({' || '.join(f'has(self.{name})' for name in _SHARES)})"
    " || (has(self.max) && self.max.matches('%$'))",
    f"{', '.join(_SHARES[:-1])} and {_SHARES[-1]} need max, a percentage, for example max: 90%",
    lambda self: not _is_full(self) or (self.max is not None and self.max.endswith("%")),
)
@cel(
    " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in _ALL) + " == 1",
    f"a resource needs exactly one of {', '.join(_ALL)}",
    lambda self: sum(getattr(self, field) is not None for field in _FIELDS.values()) == 1,
)
class Resource(Rule):
    """How full a workload is, or how far below its usual load."""

    KIND: ClassVar[str] = "resource"
    ON_BREACH: ClassVar[OnBreach] = OnBreach.REPORT
    WINDOW: ClassVar[str] = "5m"
    COUNTS: ClassVar[bool] = False

    cpu: Cpu | None = None
    """CPU time that containers use of their limit."""

    memory: Memory | None = None
    """Memory that containers use of their limit."""

    gpu: Gpu | None = None
    """The share of time in which GPUs compute."""

    gpu_memory: GpuMemory | None = None
    """The share of the memory of GPUs that is in use."""

    queue: Queue | None = None
    """Requests in the server, by pod."""

    throughput: Throughput | None = None
    """Requests per second, held against the same time in the past."""

    max: Bound | None = None
    """The largest healthy level: a percentage, for a queue a number in quotes."""

    min: Percent | None = None
    """The smallest healthy throughput, as a share of the usual one."""

    over: Over = Over.WORST
    """What is held against `max`: the fullest pod, or the mean of the pods."""

    @property
    def pillar(self) -> Pillar | None:
        """The system; see :attr:`Rule.pillar`."""
        return Pillar.SYSTEM

    @property
    def level(self) -> Saturation | Throughput:
        """What is measured."""
        found: Saturation | Throughput = next(
            one for field in _FIELDS.values() if (one := getattr(self, field)) is not None
        )
        return found

    def resolved(self, preset: Preset | None) -> Self:
        """Return the rule with the preset's numbers; see :meth:`Rule.resolved`."""
        field = next(one for one in _FIELDS.values() if getattr(self, one) is not None)
        return self.model_copy(update={field: self.level.resolved(preset)})

    def questions(self, subject: Subject, window: float) -> Mapping[str, Question]:
        """Return the questions of what is measured; see :meth:`Rule.questions`."""
        asked = self.level.asks(_pods(subject), promql.duration(window))
        return {role: Question(text, window / _KEPT_PART) for role, text in asked.items()}

    def measure(self, asked: Asked, _tally: Tally) -> Measured:
        """Return the level, or the throughput; see :meth:`Rule.measure`."""
        level = self.level
        if isinstance(level, Throughput):
            return self._judge_throughput(level, asked)
        found = level.levels(asked.answers, _pods(asked.subject))
        return found if isinstance(found, Missing) else self._judge(level, found)

    def _judge(self, level: Saturation, found: Sequence[Level]) -> Measured:
        worst: dict[str, Level] = {}
        for one in found:
            worst[one.pod] = max(one, worst.get(one.pod, one), key=lambda one: one.value)
        pods = f"{len(worst)} {'pod' if len(worst) == 1 else 'pods'}"
        if self.over is Over.MEAN:
            value = sum(one.value for one in worst.values()) / len(worst)
            where = f"on average over {pods}"
        else:
            fullest = max(worst.values(), key=lambda one: one.value)
            value, where = fullest.value, f"on {fullest.name}, the fullest of {pods}"
        if math.isinf(value):
            return Missing(UnknownReason.NO_DATA, "the levels of the pods have no mean")
        most = limit(self.max or "0")
        allowed = f"at most {self.max}"
        why = f"{level.say(value)} {where}, allowed {allowed}"
        return Measurement(value, value > most, why)

    def _judge_throughput(self, throughput: Throughput, asked: Asked) -> Measured:
        now = one_number(asked.answers["now"])
        if math.isnan(now):
            return Missing(UnknownReason.NO_DATA, "no series of requests")
        if not _is_count(now):
            return Missing(UnknownReason.NO_DATA, "the counters of requests are not numbers")
        usual = throughput.usual(asked.answers)
        if isinstance(usual, Missing):
            return usual
        count, pasts = usual
        share = now / count
        said = f"{now / asked.window:.3g} requests per second, {say_share(share)} of the usual"
        median_of = f"{count / asked.window:.3g} (median of {pasts} at this time in the past)"
        why = f"{said} {median_of}, allowed at least {self.min}"
        return Measurement(share, share < fraction(self.min or "0%"), why)


def _pods(subject: Subject) -> Pods:
    return Pods(subject.namespace, subject.workload, subject.labels)


def _is_count(number: float) -> bool:
    return 0.0 <= number < MOST
