"""A signal put to one arm: what is asked, and how the answers are judged.

Everything that a pass needs of a spec is looked up once here, when the spec is read.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

import numpy as np

from backstop.api.modelmonitor import ModelMonitorSpec, Signal
from backstop.api.words import Arm
from backstop.core import promql
from backstop.core.measurement import Pillar, Question
from backstop.core.presets.preset import Preset, PresetError
from backstop.core.presets.registry import presets
from backstop.core.signals.columns import ColumnRule
from backstop.core.signals.rule import OnBreach, Rule, Scope, Subject
from backstop.core.units import seconds

SignalKey = tuple[str, Arm]
"""A signal by name, of one arm."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One signal of one arm.

    ``window`` and ``settles`` are in seconds: how far back the samples reach, and for how long
    after an action an expression still looks back over it. ``said`` is the window in words.
    ``raw`` says whether any of the questions is answered by raw samples.
    """

    name: str
    arm: Arm
    rule: Rule
    subject: Subject
    pillar: Pillar
    questions: Mapping[str, Question]
    window: float
    settles: float
    said: str
    min_samples: int
    breaches: int
    looks: int
    raw: bool
    reports: bool
    attributes: bool


def inquire(
    signal: Signal,
    arm: Arm,
    subject: Subject,
    preset: Preset | None = None,
    tenant_label: str | None = None,
) -> Inquiry:
    """Return ``signal`` as it is put to ``subject``.

    With ``tenant_label`` all its questions are confined to the series whose label of that name is
    the namespace of the monitor: this is the only place where questions are taken from a rule.

    Raises:
        PromqlError: an expression cannot be used.
        PresetError: a selector is neither written nor known to ``preset``.
    """
    try:
        rule = signal.rule.resolved(preset)
    except PresetError as error:
        raise PresetError(f"signal {signal.name}: {error}") from None
    window = seconds(signal.looks_back)
    questions = rule.questions(subject, window)
    if tenant_label is not None:
        questions = _fenced(questions, tenant_label, subject.namespace)
    return Inquiry(
        name=signal.name,
        arm=arm,
        rule=rule,
        subject=subject,
        pillar=signal.speaks_of,
        questions=questions,
        window=window,
        settles=rule.settles(window),
        said=signal.looks_back,
        min_samples=signal.demands if rule.COUNTS else 0,
        breaches=signal.persists.breaches,
        looks=signal.persists.looks,
        raw=any(one.raw for one in questions.values()),
        reports=signal.leads_to is OnBreach.REPORT,
        attributes=rule.attributes,
    )


def _fenced(
    questions: Mapping[str, Question], label: str, namespace: str
) -> Mapping[str, Question]:
    return {
        role: one._replace(promql=promql.fence(one.promql, label, namespace))
        for role, one in questions.items()
    }


class Plan(NamedTuple):
    """The inquiries of a monitor side by side, so that those of many are soon joined.

    By inquiry and as in :class:`Inquiry` but for: ``columns``, the rule if it is measured in
    arrays, and ``kinds``, what is measured together. ``queries`` is the PromQL of all questions,
    ``raw`` one byte for each that is 1 if raw samples answer it. ``numbers`` are floats: the rows
    of a table that has for each inquiry how many questions it asks, how many of them about raw
    samples, the observations demanded, so many breaches of so many looks, and the figures of its
    rule (``nan`` where it is not measured in arrays).
    """

    keys: tuple[SignalKey, ...]
    inquiries: tuple[Inquiry, ...]
    names: tuple[str, ...]
    arms: tuple[Arm, ...]
    pillars: tuple[Pillar, ...]
    reports: tuple[bool, ...]
    attributes: tuple[bool, ...]
    columns: tuple[ColumnRule | None, ...]
    kinds: tuple[type, ...]
    queries: tuple[str, ...]
    raw: bytes
    numbers: bytes


def plan(inquiries: Mapping[SignalKey, Inquiry]) -> Plan:
    """Return ``inquiries`` side by side."""
    ours = tuple(inquiries.values())
    questions = [question for one in ours for question in one.questions.values()]
    columns = tuple(one.rule if isinstance(one.rule, ColumnRule) else None for one in ours)
    return Plan(
        keys=tuple(inquiries),
        inquiries=ours,
        names=tuple(one.name for one in ours),
        arms=tuple(one.arm for one in ours),
        pillars=tuple(one.pillar for one in ours),
        reports=tuple(one.reports for one in ours),
        attributes=tuple(one.attributes for one in ours),
        columns=columns,
        kinds=tuple(
            type(one.rule) if column is None else column.measures_as
            for one, column in zip(ours, columns, strict=True)
        ),
        queries=tuple(question.promql for question in questions),
        raw=bytes(question.raw for question in questions),
        numbers=np.array([_numbers(one) for one in ours], dtype=np.float64).tobytes(),
    )


def _numbers(one: Inquiry) -> tuple[float, ...]:
    figures = one.rule.figures if isinstance(one.rule, ColumnRule) else (math.nan,) * 3
    raw = sum(question.raw for question in one.questions.values())
    return (len(one.questions), raw, one.min_samples, one.breaches, one.looks, *figures)


class Inquiries(dict[SignalKey, Inquiry]):
    """All that is asked about one monitor; it does not change once it is made."""

    @cached_property
    def plan(self) -> Plan:
        """The inquiries side by side; put together once."""
        return plan(self)


ARMS: Final = {
    Scope.EACH_ARM: (Arm.TARGET, Arm.CANDIDATE),
    Scope.CANDIDATE: (Arm.CANDIDATE,),
    Scope.TARGET: (Arm.TARGET,),
}


def inquiries(
    spec: ModelMonitorSpec,
    namespace: str,
    changed: float | None = None,
    tenant_label: str | None = None,
) -> Inquiries:
    """Return all that ``spec``, of a monitor in ``namespace``, asks.

    ``changed`` is the Unix time at which the target's current revision began; ``tenant_label`` is
    the label that confines the metrics source to namespaces, see :func:`inquire`.

    Raises:
        PromqlError, PresetError: see :func:`inquire`.
    """
    preset = presets()[spec.preset] if spec.preset else None
    subjects = _subjects(spec, namespace, changed)
    return Inquiries(
        ((signal.name, arm), inquire(signal, arm, subjects[arm], preset, tenant_label))
        for signal in spec.signals
        for arm in ARMS[signal.rule.scope]
        if arm in subjects
    )


def _subjects(spec: ModelMonitorSpec, namespace: str, changed: float | None) -> dict[Arm, Subject]:
    labels = spec.target.metric_labels
    if spec.candidate is None:
        return {Arm.TARGET: Subject(labels, None, namespace, spec.target.name, changed)}
    beside, name = spec.candidate.metric_labels, spec.candidate.name
    return {
        Arm.TARGET: Subject(labels, beside, namespace, spec.target.name, changed),
        Arm.CANDIDATE: Subject(beside, labels, namespace, name),
    }
