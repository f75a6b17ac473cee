"""Putting traffic back as it was before a circuit opened, because nobody will watch any more.

Idempotent: what is back already is written once more, under the version that was read.
"""

from backstop.api.modelmonitor import OnDelete
from backstop.api.status import CircuitPhase, StepKind
from backstop.core import weights
from backstop.ports import InvalidError, NotFoundError, Traffic
from backstop.runtime.record import Record


async def put_back(record: Record, traffic: Traffic) -> str:
    """Give traffic back to those who had it, and return what was done, ``""`` for nothing.

    Raises:
        OutsideError: the route could not be read or written, or is not known any more.
    """
    services, ref = record.services, record.route
    planned = record.status.action
    opening = planned is not None and planned.step is StepKind.OPEN_CIRCUIT
    moved = opening or record.status.circuit.phase is not CircuitPhase.CLOSED
    if not moved or (record.spec is not None and record.spec.on_delete is OnDelete.LEAVE):
        return ""
    if services is None or ref is None:
        raise InvalidError("the circuit is open, and the spec names no router that can be read")
    try:
        facts = await traffic.read(ref, services)
        if not facts.rules:
            names = " and ".join(sorted(services.named))
            raise InvalidError(f"{ref} has no rule that lists {names}")
        saved = record.status.circuit.restore
        if not saved and planned is not None and opening:
            saved = list(weights.from_text(planned.before).values())
        trial = record.status.candidate
        asked = weights.close_circuit(
            facts.rules,
            services,
            saved,
            without_candidate=trial is not None and trial.phase == "Aborted",
            grain=facts.grain,
        )
        await traffic.write(facts, asked)
    except NotFoundError:
        return ""
    return f"weights of {ref} put back to {weights.to_text(asked)}"
