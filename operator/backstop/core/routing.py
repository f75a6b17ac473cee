"""Which router a monitor names, and which weights a step asks of it."""

from backstop.api.modelmonitor import ModelMonitorSpec
from backstop.api.status import ModelMonitorStatus
from backstop.api.words import StepKind, TrialPhase
from backstop.core import weights
from backstop.core.facts import ObjectRef, RouteFacts
from backstop.core.view import Step, View


def route_of(spec: ModelMonitorSpec, namespace: str) -> ObjectRef | None:
    """Return the router that ``spec`` names, ``None`` where it names none.

    A ratio of replicas has no object of its own; it goes by the name of the target.
    """
    if spec.traffic is None:
        return None
    kind, name = next(iter(spec.traffic.routers.items()))
    return ObjectRef(kind, namespace, name or spec.target.name)


def service_of_fallback(spec: ModelMonitorSpec, services: weights.Services | None) -> str | None:
    """Return the Service whose endpoints answer while the circuit is open.

    ``None`` where the router gives shares to workloads and not to Services.
    """
    return services.fallback if services is not None and gives_to_services(spec) else None


def gives_to_services(spec: ModelMonitorSpec) -> bool:
    """Return whether the router that ``spec`` names gives shares to Services."""
    return spec.traffic is not None and not (
        {"ReplicaRatio", "InferenceService"} & spec.traffic.routers.keys()
    )


def wanted_weights(view: View, step: Step, facts: RouteFacts) -> weights.RuleMap:
    """Return the weights that ``step`` asks of the rules in ``facts``."""
    services = view.services
    if services is None:
        return {}
    rules, grain = facts.rules, facts.grain
    asked: weights.RuleMap
    match step.kind:
        case StepKind.OPEN_CIRCUIT:
            asked = weights.open_circuit(rules, services, grain=grain)
        case StepKind.PROBE_CIRCUIT:
            percent = view.spec.circuit.probe_weight
            asked = weights.probe(rules, services, percent, grain=grain)
        case StepKind.CLOSE_CIRCUIT:
            asked = _put_back(view, services, facts, view.status.circuit.restore)
        case _ if step.back:
            asked = _put_back(view, services, facts, view.status.shifted)
        case _ if step.candidate_weight:
            asked = weights.start_trial(rules, services, step.candidate_weight, grain=grain)
        case _:
            asked = weights.end_trial(rules, services)
    return asked


def is_off(status: ModelMonitorStatus) -> bool:
    """Return whether the candidate gets no traffic when that of others is put back."""
    trial = status.candidate
    return trial is not None and trial.phase in {TrialPhase.ABORTED, TrialPhase.REMOVED}


def _put_back(
    view: View, services: weights.Services, facts: RouteFacts, before: list[dict[str, int]]
) -> weights.RuleMap:
    off = is_off(view.status)
    return weights.close_circuit(
        facts.rules, services, before, without_candidate=off, grain=facts.grain
    )
