"""Putting traffic back as it was before it was moved, because nobody will watch any more.

Idempotent: what is back already is written once more, under the version that was read.
"""

from backstop.api.modelmonitor import OnDelete
from backstop.api.words import CircuitPhase
from backstop.core import shifts, trials, weights
from backstop.core.routing import is_off
from backstop.core.view import parting
from backstop.ports import InvalidError, NotFoundError, Traffic
from backstop.runtime.record import Record


async def put_back(record: Record, traffic: Traffic) -> str:
    """Give traffic back to those who had it, and return what was done, ``""`` for nothing.

    That is what an open circuit or a runbook has moved, and what Backstop has given a candidate:
    nobody will judge it any more.

    Raises:
        OutsideError: the route could not be read or written, or is not known any more.
    """
    services, ref, status = record.services, record.route, record.status
    moved = shifts.saved(status)
    gone = record.spec is not None and bool(parting(record.spec, status))
    off = gone or (_is_tried(record) and trials.has_share(status))
    left = record.spec is not None and record.spec.on_delete is OnDelete.LEAVE
    if left or (moved is None and not off):
        return ""
    if services is None or ref is None:
        is_open = status.circuit.phase is not CircuitPhase.CLOSED
        what = "the circuit is open" if is_open else "traffic is shifted"
        raise InvalidError(f"{what}, and the spec names no router that can be read")
    try:
        facts = await traffic.read(ref, services)
        if not facts.rules:
            names = " and ".join(sorted(services.named))
            raise InvalidError(f"{ref} has no rule that lists {names}")
        asked = weights.end_trial(facts.rules, services)
        if moved is not None:
            off = off or is_off(status)
            asked = weights.close_circuit(
                facts.rules, services, moved, without_candidate=off, grain=facts.grain
            )
        await traffic.write(facts, asked)
    except NotFoundError:
        return ""
    return f"weights of {ref} put back to {weights.to_text(asked)}"


def _is_tried(record: Record) -> bool:
    """Return whether it is Backstop that gives the candidate traffic, and not a person."""
    candidate = record.spec.candidate if record.spec is not None else None
    return candidate is not None and candidate.progression is not None
