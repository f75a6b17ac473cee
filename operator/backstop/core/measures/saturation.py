"""How full the pods of a workload are: CPU, memory, GPUs, queues.

CPU, memory and GPUs are measured by agents of the nodes, whose series carry no label of a model
server. They are found by the namespace and the names of the workload's pods. A queue is told by the
server itself, and found by the monitor's metric labels.

Where several series speak of one part of a pod, the largest counts: an agent may be scraped twice,
and the series of a container from before its restart lingers.
"""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple, Self

from backstop.core import promql
from backstop.core.cel import Part
from backstop.core.measurement import Missing, Selector, UnknownReason
from backstop.core.presets.preset import Preset, demand
from backstop.core.samples import Series
from backstop.core.tally import Answers
from backstop.core.units import LabelName, say_share

_PODS: Final = "backstop-pods-of-the-workload"
_SPECIAL: Final = re.compile(r"[^a-z0-9-]")
_PERCENT: Final = 100.0
_NAMED: Final = 3


class Pods(NamedTuple):
    """Whose saturation is asked for; ``labels`` are those of what its pods say themselves."""

    namespace: str
    workload: str
    labels: Mapping[str, str]


class Level(NamedTuple):
    """How full one part of a pod (a container, a GPU) is: a share of its limit, or a number."""

    pod: str
    part: str
    value: float

    @property
    def name(self) -> str:
        """The pod and its part as a person reads them."""
        return f"{self.pod} {self.part}".strip()


class Saturation(Part, ABC):
    """Something that the pods of a workload fill."""

    @abstractmethod
    def asks(self, pods: Pods, window: str) -> Mapping[str, str]:
        """Return PromQL by role; ``window`` is a PromQL duration.

        Raises:
            PromqlError: a selector cannot be used.
        """

    @abstractmethod
    def levels(self, answers: Answers, pods: Pods) -> Sequence[Level] | Missing:
        """Return how full the parts of the pods are: at least one, each finite."""

    @abstractmethod
    def say(self, value: float) -> str:
        """Return a level in words: ``CPU at 93 % of its limit``."""

    def resolved(self, _preset: Preset | None) -> Self:
        """Return this with what the spec leaves to the preset.

        Raises:
            PresetError: the preset has no such number, or there is no preset.
        """
        return self


_Values = dict[tuple[str, str], float]


class _OfPods(Saturation):
    """What an agent of the node measures."""

    NOUN: ClassVar[str]
    PART: ClassVar[tuple[str, ...]]
    """The labels that tell the parts of a pod apart."""

    pod_label: LabelName = "pod"
    """The label with the pod's name: `exported_pod` where Prometheus renames those of exporters."""

    namespace_label: LabelName = "namespace"
    """The label with the namespace: `exported_namespace` where Prometheus renames it."""

    def _largest(self, selector: str, pods: Pods, over: str = "", window: str = "") -> str:
        """Return PromQL for the largest value by part, of the function ``over`` the window."""
        promql.require_selector(selector)
        labels = {self.namespace_label: pods.namespace, self.pod_label: _PODS}
        # Deployments add two parts to the name of a pod, StatefulSets one.
        name = _SPECIAL.sub(lambda found: f"[{found[0]}]", pods.workload)
        named = f'{self.pod_label}=~"{name}-[a-z0-9]+(-[a-z0-9]+)?"'
        confined = promql.confine(selector, labels).replace(f'{self.pod_label}="{_PODS}"', named)
        by = ", ".join((self.pod_label, *self.PART))
        return f"max by ({by}) ({f'{over}({confined}[{window}])' if over else confined})"

    def _values(self, series: Sequence[Series]) -> _Values | Missing:
        found: _Values = {}
        for one in series:
            pod, value = one.labels.get(self.pod_label, ""), float(one.values[-1])
            if not 0.0 <= value < math.inf:
                return Missing(UnknownReason.NO_DATA, f"{self.NOUN} of {pod} is not a number")
            part = " ".join(filter(None, (one.labels.get(label, "") for label in self.PART)))
            found[pod, part] = max(value, found.get((pod, part), 0.0))
        if not found:
            return Missing(UnknownReason.NO_DATA, f"no series of {self.NOUN} for any pod of it")
        return found


def _levels(found: Mapping[tuple[str, str], float], noun: str) -> Sequence[Level] | Missing:
    if not all(map(math.isfinite, found.values())):
        return Missing(UnknownReason.NO_DATA, f"the numbers of {noun} make no share")
    return [Level(*key, value) for key, value in found.items()]


class _OfLimit(_OfPods):
    """What containers use of their limit."""

    PART: ClassVar[tuple[str, ...]] = ("container",)
    OVER: ClassVar[str]

    usage: Selector
    limit: Selector

    def asks(self, pods: Pods, window: str) -> Mapping[str, str]:
        """Return usage and limit by container; see :meth:`Saturation.asks`."""
        return {
            "usage": self._largest(self.usage, pods, self.OVER, window),
            "limit": self._largest(self.limit, pods),
        }

    def levels(self, answers: Answers, pods: Pods) -> Sequence[Level] | Missing:
        """Return the shares of the limits there are; see :meth:`Saturation.levels`."""
        usage = self._values(answers["usage"])
        if isinstance(usage, Missing):
            return usage
        limits = self._values(answers["limit"]) if answers["limit"] else {}
        if isinstance(limits, Missing):
            return limits
        limited = {key: used for key, used in usage.items() if limits.get(key, 0.0) > 0.0}
        if not limited:
            return Missing(UnknownReason.NO_DATA, self._unlimited(usage, pods))
        return _levels({key: used / limits[key] for key, used in limited.items()}, self.NOUN)

    def _unlimited(self, usage: _Values, pods: Pods) -> str:
        names = sorted({part or pod for pod, part in usage})
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        said = f"{', '.join(names[:_NAMED])}{more} of {pods.workload}"
        return f"no {self.NOUN} limit is set for {said}, so nobody can say how full it is"

    def say(self, value: float) -> str:
        """Return the share of the limit; see :meth:`Saturation.say`."""
        return f"{self.NOUN} at {say_share(value)} of its limit"


class Cpu(_OfLimit):
    """CPU time that containers use of their limit."""

    NOUN: ClassVar[str] = "CPU"
    OVER: ClassVar[str] = "rate"

    usage: Selector = 'container_cpu_usage_seconds_total{container!="",container!="POD"}'
    """Selector of the counter of CPU seconds by container; that of cAdvisor unless given."""

    limit: Selector = 'kube_pod_container_resource_limits{resource="cpu"}'
    """Selector of the limits by container, in cores; that of kube-state-metrics unless given."""


class Memory(_OfLimit):
    """Memory that containers use of their limit."""

    NOUN: ClassVar[str] = "memory"
    OVER: ClassVar[str] = "avg_over_time"

    usage: Selector = 'container_memory_working_set_bytes{container!="",container!="POD"}'
    """Selector of the gauge of bytes by container; cAdvisor's working set unless given."""

    limit: Selector = 'kube_pod_container_resource_limits{resource="memory"}'
    """Selector of the limits by container, in bytes; that of kube-state-metrics unless given."""


class _OfGpus(_OfPods):
    PART: ClassVar[tuple[str, ...]] = ("gpu", "GPU_I_ID")


class Gpu(_OfGpus):
    """The share of time in which GPUs compute."""

    NOUN: ClassVar[str] = "GPU utilization"

    utilization: Selector = "DCGM_FI_DEV_GPU_UTIL"
    """Selector of the gauge of utilization in percent; that of the DCGM exporter unless given."""

    def asks(self, pods: Pods, window: str) -> Mapping[str, str]:
        """Return utilization by GPU; see :meth:`Saturation.asks`."""
        return {"utilization": self._largest(self.utilization, pods, "avg_over_time", window)}

    def levels(self, answers: Answers, _pods: Pods) -> Sequence[Level] | Missing:
        """Return the utilization as shares; see :meth:`Saturation.levels`."""
        found = self._values(answers["utilization"])
        if isinstance(found, Missing):
            return found
        return _levels({key: value / _PERCENT for key, value in found.items()}, self.NOUN)

    def say(self, value: float) -> str:
        """Return the utilization; see :meth:`Saturation.say`."""
        return f"{self.NOUN} {say_share(value)}"


class GpuMemory(_OfGpus):
    """The share of the memory of GPUs that is in use."""

    NOUN: ClassVar[str] = "GPU memory"

    used: Selector = "DCGM_FI_DEV_FB_USED"
    """Selector of the gauge of memory in use; that of the DCGM exporter unless given."""

    free: Selector = "DCGM_FI_DEV_FB_FREE"
    """Selector of the gauge of free memory, in the same unit."""

    def asks(self, pods: Pods, window: str) -> Mapping[str, str]:
        """Return used and free memory by GPU; see :meth:`Saturation.asks`."""
        return {
            "used": self._largest(self.used, pods, "avg_over_time", window),
            "free": self._largest(self.free, pods, "avg_over_time", window),
        }

    def levels(self, answers: Answers, _pods: Pods) -> Sequence[Level] | Missing:
        """Return the share in use; see :meth:`Saturation.levels`."""
        used, free = (self._values(answers[role]) for role in ("used", "free"))
        if isinstance(used, Missing):
            return used
        if isinstance(free, Missing):
            return free
        whole = {key: used[key] + free[key] for key in used.keys() & free.keys()}
        shares = {key: used[key] / all_ for key, all_ in sorted(whole.items()) if all_ > 0.0}
        if not shares or math.inf in whole.values():
            why = "used and free GPU memory are of different GPUs, or make no sum"
            return Missing(UnknownReason.NO_DATA, why)
        return _levels(shares, self.NOUN)

    def say(self, value: float) -> str:
        """Return the share in use; see :meth:`Saturation.say`."""
        return f"{self.NOUN} {say_share(value)} full"


class Queue(Saturation):
    """Requests in the server, by pod."""

    gauge: Selector | None = None
    """Selector of the gauge of requests that wait, for example `vllm:num_requests_waiting`. A
    preset knows it; where it counts requests in progress instead, the sentence says so."""

    waiting: bool = True
    """Whether the gauge counts only requests that wait, not those that are being served."""

    def resolved(self, preset: Preset | None) -> Self:
        """Return this with the preset's gauge; see :meth:`Saturation.resolved`."""
        if self.gauge is not None:
            return self
        known = demand(preset, "queue", lambda known: known.queue)
        return self.model_copy(update={"gauge": known.gauge, "waiting": known.waiting})

    def asks(self, pods: Pods, window: str) -> Mapping[str, str]:
        """Return the mean of the window by pod, all models of it; see :meth:`Saturation.asks`."""
        promql.require_selector(gauge := self.gauge or "")
        confined = promql.confine(gauge, pods.labels)
        return {"queue": f"sum by (pod, instance) (avg_over_time({confined}[{window}]))"}

    def levels(self, answers: Answers, _pods: Pods) -> Sequence[Level] | Missing:
        """Return the requests by pod; see :meth:`Saturation.levels`."""
        found = [
            Level(
                one.labels.get("pod") or one.labels.get("instance", ""), "", float(one.values[-1])
            )
            for one in answers["queue"]
        ]
        if not found:
            return Missing(UnknownReason.NO_DATA, "no series of the queue")
        if not all(0.0 <= one.value < math.inf for one in found):
            return Missing(UnknownReason.NO_DATA, "the queue is not a number")
        return found

    def say(self, value: float) -> str:
        """Return the number of requests; see :meth:`Saturation.say`."""
        return f"{value:,.4g} requests {'waiting' if self.waiting else 'in progress'}"
