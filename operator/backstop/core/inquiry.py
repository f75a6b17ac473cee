"""A signal put to one arm: what is asked, and how the answers are judged.

Everything that a pass needs of a spec is looked up once here, when the spec is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from backstop.api.modelmonitor import ModelMonitorSpec, Signal
from backstop.api.status import Arm
from backstop.core.measurement import Pillar, Question
from backstop.core.presets.preset import Preset, PresetError
from backstop.core.presets.registry import presets
from backstop.core.signals.rule import OnBreach, Rule, Scope, Subject
from backstop.core.units import seconds

SignalKey = tuple[str, Arm]
"""A signal by name, of one arm."""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """One signal of one arm.

    ``window`` and ``settles`` are in seconds: how far back the samples reach, and for how long
    after an action an expression still looks back over it. ``said`` is the window in words.
    ``asked`` is the PromQL of each question by role, and ``raw`` says whether any, ``all_raw``
    whether each of them is answered by raw samples.
    """

    name: str
    arm: Arm
    rule: Rule
    subject: Subject
    pillar: Pillar
    questions: Mapping[str, Question]
    asked: tuple[tuple[str, str], ...]
    window: float
    settles: float
    said: str
    min_samples: int
    breaches: int
    looks: int
    raw: bool
    all_raw: bool
    reports: bool
    attributes: bool


def inquire(signal: Signal, arm: Arm, subject: Subject, preset: Preset | None = None) -> Inquiry:
    """Return ``signal`` as it is put to ``subject``.

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
    return Inquiry(
        name=signal.name,
        arm=arm,
        rule=rule,
        subject=subject,
        pillar=signal.speaks_of,
        questions=questions,
        asked=tuple((role, one.promql) for role, one in questions.items()),
        window=window,
        settles=rule.settles(window),
        said=signal.looks_back,
        min_samples=signal.demands if rule.COUNTS else 0,
        breaches=signal.persists.breaches,
        looks=signal.persists.looks,
        raw=any(one.raw for one in questions.values()),
        all_raw=all(one.raw for one in questions.values()),
        reports=signal.leads_to is OnBreach.REPORT,
        attributes=rule.attributes,
    )


_ARMS = {
    Scope.EACH_ARM: (Arm.TARGET, Arm.CANDIDATE),
    Scope.CANDIDATE: (Arm.CANDIDATE,),
    Scope.TARGET: (Arm.TARGET,),
}


def inquiries(
    spec: ModelMonitorSpec, namespace: str, changed: float | None = None
) -> dict[SignalKey, Inquiry]:
    """Return all that ``spec``, of a monitor in ``namespace``, asks.

    ``changed`` is the Unix time at which the target's current revision began.

    Raises:
        PromqlError, PresetError: see :func:`inquire`.
    """
    preset = presets()[spec.preset] if spec.preset else None
    subjects = _subjects(spec, namespace, changed)
    return {
        (signal.name, arm): inquire(signal, arm, subjects[arm], preset)
        for signal in spec.signals
        for arm in _ARMS[signal.rule.scope]
        if arm in subjects
    }


def _subjects(spec: ModelMonitorSpec, namespace: str, changed: float | None) -> dict[Arm, Subject]:
    labels = spec.target.metric_labels
    if spec.candidate is None:
        return {Arm.TARGET: Subject(labels, None, namespace, spec.target.name, changed)}
    beside, name = spec.candidate.metric_labels, spec.candidate.name
    return {
        Arm.TARGET: Subject(labels, beside, namespace, spec.target.name, changed),
        Arm.CANDIDATE: Subject(beside, labels, namespace, name),
    }
