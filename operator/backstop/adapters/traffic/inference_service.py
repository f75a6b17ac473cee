"""Traffic through KServe itself: between the versions of one InferenceService.

In Knative mode the candidate is the newest revision and ``predictor.canaryTrafficPercent`` its
share; the target is the revision that had all traffic before. In Standard mode the candidate is an
entry of ``spec.canary`` and ``trafficPercent`` its share; the target is the predictor. KServe sends
no traffic elsewhere, so there is no fallback.

Guarantees: a write changes that one number and nothing else, in one request that the API server
refuses when the InferenceService changed since it was read. A share counts as accepted only where
traffic is seen to be divided so, as the ``observedGeneration`` of KServe is that of another object:
in Knative mode the status shows the shares, in Standard mode the HTTPRoute that KServe makes does.
KServe 0.20 makes none that divides; there the share is written, but never reported as accepted.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from backstop.adapters.paths import namespaced
from backstop.adapters.text import one_line
from backstop.adapters.traffic.gateway_api import route_facts
from backstop.core.facts import ObjectRef, RouteFacts, RuleWeights
from backstop.core.gitops import last_manager, owner
from backstop.core.weights import Services
from backstop.ports import InvalidError, KubeApi, NotFoundError

_GROUP_VERSION: Final = "serving.kserve.io/v1beta1"
_GATEWAY_VERSION: Final = "gateway.networking.k8s.io/v1"
_MODE: Final = "serving.kserve.io/deploymentMode"
_STANDARD: Final = frozenset({"Standard", "RawDeployment"})
_MESSAGE_LIMIT: Final = 300
_ALL: Final = 100
_PERCENT: Final = -1
"""Place of a candidate whose share is ``canaryTrafficPercent``; others are places in a list."""

Json = dict[str, Any]


class _Share(NamedTuple):
    """The candidate's share in percent, and its place in ``spec.canary`` (or ``_PERCENT``)."""

    place: int
    percent: int


class InferenceServiceTraffic:
    """Implements :class:`backstop.ports.Traffic` for ``serving.kserve.io/v1beta1``."""

    def __init__(self, api: KubeApi) -> None:
        """Work through ``api``, which carries the credentials and the deadlines."""
        self._api = api

    async def read(self, ref: ObjectRef, services: Services) -> RouteFacts:
        """Return how traffic is divided; no rule where the InferenceService names no candidate.

        Raises:
            InvalidError: ``services`` are not a target and a candidate alone, or ``spec.canary``
                does not say which entry is the candidate.

        """
        candidate = _candidate(ref, services)
        body = await self._api.get(_path(ref))
        return await self._facts(body, services.target, candidate)

    async def write(
        self, facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]
    ) -> RouteFacts:
        """Set the candidate's share in percent; nothing is sent when it is so already.

        Raises:
            InvalidError: ``weights`` speaks of what ``facts`` does not, or is no percentage.

        """
        changes = list(_changes(facts, weights))
        if not changes:
            return facts
        version = facts.resource_version
        guard = {"op": "replace", "path": "/metadata/resourceVersion", "value": version}
        body = await self._api.json_patch(_path(facts.ref), [guard, *changes])
        (rule,) = facts.rules
        (candidate,) = rule.places
        (target,) = rule.weights.keys() - rule.places.keys()
        return await self._facts(body, target, candidate)

    async def _facts(self, body: Json, target: str, candidate: str) -> RouteFacts:
        made = None
        if body["spec"].get("canary"):
            metadata = body["metadata"]
            path = namespaced(
                _GATEWAY_VERSION, metadata["namespace"], "httproutes", metadata["name"]
            )
            try:
                made = await self._api.get(path)
            except NotFoundError:
                made = None
        return traffic_facts(body, made, target, candidate)


def traffic_facts(
    body: Mapping[str, Any], made: Mapping[str, Any] | None, target: str, candidate: str
) -> RouteFacts:
    """Return what an InferenceService says, and the HTTPRoute ``made`` of it in Standard mode.

    Raises:
        InvalidError: ``spec.canary`` does not say which entry is the candidate.

    """
    metadata = body["metadata"]
    ref = ObjectRef("InferenceService", metadata["namespace"], metadata["name"])
    share, message = _share(body, ref, candidate)
    rules: tuple[RuleWeights, ...] = ()
    if share is not None:
        rules = (_rule(share, target, candidate),)
        message = _undivided(body, made, share)
    generation = metadata.get("generation") or 0
    return RouteFacts(
        ref=ref,
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=generation,
        accepted_generation=None if message else generation,
        rules=rules,
        message=message,
        parts=(ObjectRef("HTTPRoute", ref.namespace, ref.name),) if made else (),
        manager=last_manager(metadata),
        gitops=owner(metadata),
    )


def _candidate(ref: ObjectRef, services: Services) -> str:
    if services.fallback is not None:
        raise InvalidError(
            f"{ref} divides traffic between versions of one model, so it cannot send any to the"
            f" fallback {services.fallback}; put an HTTPRoute in front and name it as the route"
        )
    if services.candidate is None:
        raise InvalidError(f"{ref} needs a candidate to divide traffic with; name one")
    return services.candidate


def _share(body: Mapping[str, Any], ref: ObjectRef, candidate: str) -> tuple[_Share | None, str]:
    """Return the candidate's share, or none and why there is none."""
    spec = body["spec"]
    if spec.get("canary"):
        return _listed(spec["canary"], ref, candidate), ""
    percent = spec["predictor"].get("canaryTrafficPercent")
    if percent is None:
        return None, (
            "no version is on trial; set spec.predictor.canaryTrafficPercent to 0 (Knative mode),"
            " or add an entry to spec.canary (Standard mode)"
        )
    if _mode(body) in _STANDARD:
        return None, (
            "KServe ignores canaryTrafficPercent in Standard mode; use spec.canary, or put an"
            " HTTPRoute in front"
        )
    return _Share(_PERCENT, int(percent)), ""


def _listed(canaries: list[Json], ref: ObjectRef, candidate: str) -> _Share:
    """Return the share of the entry with the candidate's name, of any where it is alone."""
    names = [str(one["predictor"].get("name", "")) for one in canaries]
    places = [
        place
        for place, name in enumerate(names)
        if len(names) == 1 or candidate in {name, f"{ref.name}-{name}-predictor"}
    ]
    if not places:
        known = ", ".join(f"{ref.name}-{name}-predictor" for name in names)
        raise InvalidError(
            f"spec.canary of {ref} has no entry for {candidate}; name one of {known} as candidate"
        )
    place = places[0]
    for other, one in enumerate(canaries):
        if other != place and one.get("trafficPercent"):
            raise InvalidError(
                f"spec.canary {names[other]} of {ref} gets traffic too, so target and candidate do"
                " not share all of it; set its trafficPercent to 0"
            )
    return _Share(place, int(canaries[place].get("trafficPercent") or 0))


def _rule(share: _Share, target: str, candidate: str) -> RuleWeights:
    weights = {target: _ALL - share.percent, candidate: share.percent}
    return RuleWeights(0, MappingProxyType(weights), MappingProxyType({candidate: share.place}))


def _changes(facts: RouteFacts, weights: Mapping[int, Mapping[str, int]]) -> Iterator[Json]:
    known = {rule.index: rule for rule in facts.rules}
    for index, asked in weights.items():
        rule = known.get(index)
        if rule is None or not asked.keys() <= rule.weights.keys():
            raise InvalidError(f"{facts.ref} has no rule {index} with {', '.join(sorted(asked))}")
        wanted = {**rule.weights, **asked}
        if sum(wanted.values()) != _ALL or min(wanted.values()) < 0:
            raise InvalidError(
                f"weights {wanted} for {facts.ref} are no percentages: make them sum to {_ALL}"
            )
        ((candidate, place),) = rule.places.items()
        if wanted[candidate] != rule.weights[candidate]:
            path = f"/spec/canary/{place}/trafficPercent"
            if place == _PERCENT:
                path = "/spec/predictor/canaryTrafficPercent"
            yield {"op": "replace", "path": path, "value": wanted[candidate]}


def _undivided(body: Mapping[str, Any], made: Mapping[str, Any] | None, share: _Share) -> str:
    """Return why traffic is not seen to be divided as asked; empty where it is."""
    if share.place == _PERCENT:
        return _undivided_revisions(body, share.percent)
    name = body["metadata"]["name"]
    stable, canary = (
        "-".join(part for part in (name, one["predictor"].get("name"), "predictor") if part)
        for one in (body["spec"], body["spec"]["canary"][share.place])
    )
    if made is None:
        return (
            f"KServe has made no HTTPRoute/{name}, so nothing divides the traffic; turn on the"
            " Gateway API in its configuration (enableGatewayApi)"
        )
    found = route_facts(made, Services(target=stable, candidate=None, fallback=None))
    if not found.in_effect:
        return found.message or f"no gateway has accepted the newest HTTPRoute/{name} yet"
    for rule in found.rules:
        parts = sum(rule.weights.values())
        seen = {one: rule.weights.get(one, 0) * _ALL for one in (stable, canary)}
        if seen != {stable: (_ALL - share.percent) * parts, canary: share.percent * parts}:
            break
    else:
        if found.rules:
            return ""
    return (
        f"HTTPRoute/{name} does not give {canary} {share.percent} %; KServe 0.20 does not divide"
        " traffic in Standard mode: use a later one, or put an HTTPRoute of your own in front"
    )


def _undivided_revisions(body: Mapping[str, Any], percent: int) -> str:
    status = body.get("status") or {}
    predictor = (status.get("components") or {}).get("predictor") or {}
    if not predictor.get("latestRolledoutRevision"):
        return "no revision has had all traffic yet, and until then KServe divides none"
    for one in status.get("conditions") or ():
        if one.get("type") == "PredictorRouteReady" and one.get("status") != "True":
            said = one_line(str(one.get("message") or one.get("reason") or ""), _MESSAGE_LIMIT)
            return f"KServe has not finished its route: {said or 'it gives no reason'}"
    seen = [one for one in predictor.get("traffic") or () if one.get("latestRevision")]
    if not seen or sum(one.get("percent") or 0 for one in seen) != percent:
        return f"KServe does not give the newest revision {percent} % yet"
    return ""


def _mode(body: Mapping[str, Any]) -> str:
    annotations = body["metadata"].get("annotations") or {}
    return str((body.get("status") or {}).get("deploymentMode") or annotations.get(_MODE, ""))


def _path(ref: ObjectRef) -> str:
    return namespaced(_GROUP_VERSION, ref.namespace, "inferenceservices", ref.name)
