"""Whether the candidate may leave its step of the progression, and if not, why.

A step is left on evidence, not on time alone: every acting signal of the candidate is Healthy, and
each that compares it with the target has proven anew, since the step began, that it is no worse.
Unknown keeps it where it is. The sentences hold no numbers that change from look to look.
"""

import math
from collections.abc import Sequence
from typing import Final

from backstop.api.modelmonitor import Progression, Promotion
from backstop.api.status import CandidateStatus
from backstop.api.words import Arm, CircuitPhase, Verdict
from backstop.core.signals.rule import OnBreach, Scope
from backstop.core.units import seconds
from backstop.core.verdicts import SignalVerdict
from backstop.core.view import View

ALL: Final = 100
"""Percent of the traffic at which nothing is left for the target."""


def is_under_way(plan: Progression, trial: CandidateStatus) -> bool:
    """Return whether the candidate has been given the traffic of a step."""
    return (trial.weight or 0) >= plan.steps[0]


def place(plan: Progression, trial: CandidateStatus) -> int:
    """Return which step the candidate is at, counted from 0.

    It follows from the weight that was given last, so that an edit of the steps repeats none.
    """
    reached = [
        number for number, percent in enumerate(plan.steps) if percent <= (trial.weight or 0)
    ]
    return reached[-1] if reached else 0


def is_last(plan: Progression, trial: CandidateStatus) -> bool:
    """Return whether no step follows."""
    return is_under_way(plan, trial) and place(plan, trial) == len(plan.steps) - 1


def may_promote(view: View, plan: Progression, trial: CandidateStatus) -> bool:
    """Return whether the step that is left next leads to the promotion."""
    return is_last(plan, trial) and plan.steps[-1] == ALL and not no_promotion(view, plan)


def no_promotion(view: View, plan: Progression) -> str:
    """Return why a candidate that passed all steps is not promoted, "" if it is."""
    candidate, target = view.spec.candidate, view.spec.target
    if plan.promotion is Promotion.NEVER:
        return "promotion is Never, so it stays here"
    own = candidate is not None and candidate.name == target.name
    if own and plan.promotion is Promotion.SWAP_ROLES:
        return "a canary within the target itself has no role to swap; choose promotion Template"
    return ""


def began(view: View, trial: CandidateStatus) -> float | None:
    """Return the Unix time since which the step has had its traffic, ``None`` while it has not.

    While a circuit was not closed it had none, so the time begins anew when it closes.
    """
    circuit = view.status.circuit
    if trial.step_since is None or circuit.phase is not CircuitPhase.CLOSED:
        return None
    closed = circuit.since.timestamp() if circuit.since else 0.0
    return max(trial.step_since.timestamp(), closed)


def is_late(view: View, plan: Progression, trial: CandidateStatus) -> bool:
    """Return whether the step has taken longer than it may; one that nothing follows may."""
    since = began(view, trial)
    if since is None or (is_last(plan, trial) and not may_promote(view, plan, trial)):
        return False
    return view.now >= since + seconds(plan.max_time)


def hindrance(view: View, plan: Progression, trial: CandidateStatus) -> str:
    """Return why the step cannot be left now, "" if it can."""
    since = began(view, trial)
    if since is None:
        return "the gateway has not accepted the weights yet"
    if is_late(view, plan, trial):
        return f"the step took longer than {plan.max_time}; promote it or abort it"
    return fault(view) or _too_early(view, plan, since) or _unproven(view, plan, trial)


def fault(view: View) -> str:
    """Return which acting signal is breached on either arm, "" if none is."""
    for one in view.look.verdicts:
        if one.verdict is Verdict.BREACHED and not one.reports:
            if one.arm is Arm.CANDIDATE:
                return f"{one.name} is breached on the candidate"
            return f"{one.name} is breached on the target; a person has to promote or abort"
    return ""


def _too_early(view: View, plan: Progression, since: float) -> str:
    early = view.now < since + seconds(plan.min_time)
    return f"the step lasts at least {plan.min_time}" if early else ""


def _unproven(view: View, plan: Progression, trial: CandidateStatus) -> str:
    """Return what of the evidence is missing, "" if nothing is.

    With all the traffic the candidate has nothing beside it to be compared with: it was proven no
    worse in the step before, and what has a limit of its own has the say.
    """
    comparing, alone = _comparing(view), (trial.weight or 0) >= ALL
    ours = [one for one in view.look.verdicts if one.arm is Arm.CANDIDATE]
    if alone:
        ours = [one for one in ours if one.name not in comparing]
    acting = [one for one in ours if not one.reports] or ours
    if not acting:
        return _NOTHING_ALONE if alone and comparing else "none of its signals has been looked at"
    for one in acting:
        if one.verdict is not Verdict.HEALTHY:
            return f"{one.name} is {one.verdict} ({one.reason})".replace(" ()", "")
    if alone or not comparing:
        return _too_few(plan, acting)
    proven = {one.name for one in acting if one.proven}
    waiting = [name for name in comparing if name not in proven]
    return f"{waiting[0]} has yet to prove that it is no worse" if waiting else ""


_NOTHING_ALONE: Final = (
    "all its signals compare it with the target, which has no traffic left; add a signal with a"
    " limit, or end the steps below 100"
)


def _comparing(view: View) -> list[str]:
    """Return the acting signals that compare the candidate with the target."""
    return [
        signal.name
        for signal in view.spec.signals
        if signal.rule.scope is Scope.CANDIDATE and signal.leads_to is OnBreach.ACT
    ]


def _too_few(plan: Progression, acting: Sequence[SignalVerdict]) -> str:
    """Return which signal has counted too few requests in the step.

    Counts reach back as far as a signal's window, and never beyond the beginning of the step.
    """
    if not plan.min_samples:
        return ""
    counting = [one for one in acting if one.samples < math.inf]
    if not counting:
        return f"none of its signals counts requests, and minSamples is {plan.min_samples}"
    few = [one.name for one in counting if one.samples < plan.min_samples]
    return f"{few[0]} counts fewer than {plan.min_samples} requests in its window" if few else ""
