"""What was changed about a monitor's target, as a diagnosis needs to know it."""

from typing import Final

from backstop.api.words import Finding, TrialPhase
from backstop.core import revisions
from backstop.core.findings import ReleaseContext
from backstop.core.suspects import shows
from backstop.core.units import seconds
from backstop.core.view import View

_SOON: Final = 300.0
"""Windows longer than this, in seconds, are not waited for: they look back for hours."""


_ON_TRIAL: Final = frozenset({TrialPhase.TRIAL, TrialPhase.PAUSED})


def release_context(view: View) -> ReleaseContext:
    """Return what was changed before ``view``, which has the revisions as they now stand."""
    current = view.status.revisions.current
    changed = current.since.timestamp() if current else None
    return ReleaseContext(
        changed=revisions.released(view.status.revisions),
        proven_good=revisions.is_proven_good(view.status.revisions),
        blame_within=seconds(view.spec.rollback.blame_release_within),
        configuration=view.configuration,
        candidate_under_trial=_is_tried(view),
        rolled_out=view.target is None or view.target.rolled_out,
        warming_up=changed is not None and view.now < changed + _warm_up(view),
        serves=_serves(view),
    )


def _is_tried(view: View) -> bool:
    """Return whether a candidate is on trial and gets traffic, as far as the route tells."""
    candidate, services = view.status.candidate, view.services
    if candidate is None or services is None or services.candidate is None:
        return False
    return candidate.phase in _ON_TRIAL and _gets_traffic(view, services.candidate)


def _serves(view: View) -> bool:
    """Return whether the target gets traffic, as far as the route tells."""
    return view.services is None or _gets_traffic(view, view.services.target)


def _gets_traffic(view: View, service: str) -> bool:
    restore = view.status.circuit.restore
    if restore:
        # While the fallback answers nothing is to be learnt of either, for or against it.
        return any(one.get(service, 0) > 0 for one in restore)
    return view.route is None or any(rule.weights.get(service, 0) > 0 for rule in view.route.rules)


def _warm_up(view: View) -> float:
    """Return for how many seconds after a change slow answers may be those of warming up.

    What is slow until the end of the warm-up is in the window of a signal for a while longer, and
    remembered for some looks.
    """
    every = max(seconds(view.spec.interval), view.look.scrape_interval or 0.0)
    lags = (
        seconds(one.looks_back) + (one.persists.looks + 1) * every
        for one in view.spec.signals
        if shows(one.rule) is Finding.SLOW
    )
    lag = min(max(lags, default=0.0), _SOON)
    return seconds(view.spec.rollback.warm_up) + lag
