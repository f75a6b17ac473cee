"""Which weights each phase asks for, per routing rule.

Weights of other Services never change, nor do their shares where ours are fine enough: in a rule
that they stand in as well, ours sum to what they summed to before.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backstop.api.words import StepKind
from backstop.core.facts import RuleWeights

_WHOLE: Final = 100

_COARSE: Final = 1.5
"""A share that is larger than asked for by more than this factor is not the one asked for."""

RuleMap = dict[int, dict[str, int]]
"""Weights by rule index and Service name."""


@dataclass(frozen=True, slots=True)
class Services:
    """The Services that Backstop moves traffic between, as far as the monitor names them."""

    target: str
    candidate: str | None
    fallback: str | None

    @property
    def named(self) -> frozenset[str]:
        """All of them that exist."""
        return frozenset(name for name in (self.target, self.candidate, self.fallback) if name)


def current(rules: tuple[RuleWeights, ...], services: Services) -> RuleMap:
    """Return the weights of our Services as the route has them."""
    return {
        rule.index: {name: rule.weights[name] for name in sorted(services.named)} for rule in rules
    }


def open_circuit(rules: tuple[RuleWeights, ...], services: Services, grain: int = 0) -> RuleMap:
    """Return weights that give all our traffic to the fallback."""
    return {rule.index: _only(rule, services, services.fallback, grain) for rule in rules}


def probe(
    rules: tuple[RuleWeights, ...], services: Services, percent: int, grain: int = 0
) -> RuleMap:
    """Return weights that give the target ``percent`` of the traffic, the fallback the rest."""
    target, rest = services.target, services.fallback
    return {
        rule.index: _split(rule, services, target, percent, rest=rest, grain=grain)
        for rule in rules
    }


def close_circuit(
    rules: tuple[RuleWeights, ...],
    services: Services,
    restore: list[dict[str, int]],
    *,
    without_candidate: bool,
    grain: int = 0,
) -> RuleMap:
    """Return the weights from before the circuit opened.

    All goes to the target where they are unknown, or are not in the parts of this router.
    """
    asked: RuleMap = {}
    for place, rule in enumerate(rules):
        saved = restore[place] if place < len(restore) else {}
        total = sum(saved.values())
        usable = set(saved) == services.named and (total == grain if grain else total > 0)
        weights = dict(saved) if usable else _only(rule, services, services.target, grain)
        asked[rule.index] = _give_to_target(weights, services) if without_candidate else weights
    return asked


def start_trial(
    rules: tuple[RuleWeights, ...], services: Services, percent: int, grain: int = 0
) -> RuleMap:
    """Return weights that give the candidate ``percent`` of the traffic, the target the rest."""
    candidate, rest = services.candidate, services.target
    return {
        rule.index: _split(rule, services, candidate, percent, rest=rest, grain=grain)
        for rule in rules
    }


def end_trial(rules: tuple[RuleWeights, ...], services: Services) -> RuleMap:
    """Return weights that give the candidate's traffic to the target."""
    return {
        index: _give_to_target(weights, services)
        for index, weights in current(rules, services).items()
    }


def _only(rule: RuleWeights, services: Services, name: str | None, grain: int) -> dict[str, int]:
    return _split(rule, services, name, _WHOLE, rest=None, grain=grain)


def _split(
    rule: RuleWeights,
    services: Services,
    name: str | None,
    percent: int,
    *,
    rest: str | None,
    grain: int,
) -> dict[str, int]:
    """Return weights of ``rule`` that sum to its parts."""
    total = _parts(rule, services, percent, grain)
    part = _nearest(total, percent)
    share = {name: part, rest: total - part}
    return {service: share.get(service, 0) for service in sorted(services.named)}


def _parts(rule: RuleWeights, services: Services, percent: int, grain: int) -> int:
    """Return what our weights of a rule sum to: ``grain`` where the router has that many parts.

    Where others get traffic by the rule, too, what they sum to now, so that the shares of others
    stay, as long as that can say ``percent``; else 100.
    """
    if grain:
        return grain
    ours = sum(rule.weights.get(name, 0) for name in services.named)
    is_shared = sum(rule.weights.values()) > ours > 0
    can_say = _nearest(ours, percent) * _WHOLE <= _COARSE * ours * percent
    return ours if is_shared and can_say else _WHOLE


def _nearest(total: int, percent: int) -> int:
    """Return the parts of ``total`` that are nearest to ``percent``.

    No share above 0 is rounded to nothing, nor is what is left, unless there is one part only.
    """
    part = round(total * percent / _WHOLE)
    if percent:
        part = max(1, part if percent == _WHOLE else min(part, total - 1))
    return part


def _give_to_target(weights: dict[str, int], services: Services) -> dict[str, int]:
    if services.candidate is None:
        return weights
    moved = dict(weights)
    moved[services.target] += moved[services.candidate]
    moved[services.candidate] = 0
    return moved


def given(weights: Mapping[str, int], name: str, target: str, *, kept: bool) -> dict[str, int]:
    """Return ``weights`` with that of ``name`` given to ``target``; ``kept`` says whether as 0."""
    moved = {one: weight for one, weight in weights.items() if one != name}
    if name in weights and target in moved:
        moved[target] += weights[name]
        return {**moved, name: 0} if kept else moved
    return dict(weights)


def to_text(weights: Mapping[int, Mapping[str, int]]) -> str:
    """Return ``weights`` in the form in which an action keeps them, equal rules written once."""
    groups: dict[str, list[int]] = {}
    for index in sorted(weights):
        groups.setdefault(json.dumps(dict(weights[index]), sort_keys=True), []).append(index)
    rules = (f'"{",".join(map(str, indices))}": {rule}' for rule, indices in groups.items())
    return f"{{{', '.join(rules)}}}"


def from_text(text: str) -> RuleMap:
    """Return the weights that :func:`to_text` wrote."""
    rules: dict[str, dict[str, Any]] = json.loads(text)
    return {
        int(index): {name: int(weight) for name, weight in rule.items()}
        for indices, rule in rules.items()
        for index in indices.split(",")
    }


def is_set(live: RuleMap, after: RuleMap) -> bool:
    """Return whether ``live`` is as ``after`` asks; it may have a Service that is named since."""
    return live.keys() == after.keys() and all(
        live[index].get(name) == weight
        for index, rule in after.items()
        for name, weight in rule.items()
    )


def is_between(live: RuleMap, before: RuleMap, after: RuleMap) -> bool:
    """Return whether each live weight is that of before or of after, as in a half-done write."""
    return live.keys() == before.keys() == after.keys() and all(
        weight in {before[index].get(name), after[index].get(name)}
        for index, rule in live.items()
        for name, weight in rule.items()
    )


TRAFFIC_STEPS = frozenset(
    {
        StepKind.OPEN_CIRCUIT,
        StepKind.PROBE_CIRCUIT,
        StepKind.CLOSE_CIRCUIT,
        StepKind.SHIFT_TRAFFIC,
    }
)
"""The steps that move traffic."""


def candidate_share(rules: Iterable[RuleWeights], services: Services) -> float:
    """Return which share of the traffic of both versions the candidate gets, in [0, 1].

    0 where there is no candidate, no traffic, or rules that differ.
    """
    if services.candidate is None:
        return 0.0
    shares = {_share(rule.weights, services.target, services.candidate) for rule in rules}
    return shares.pop() if len(shares) == 1 else 0.0


def shares(rules: Iterable[RuleWeights], services: Services) -> dict[str, float]:
    """Return which share of the traffic of all of ours each Service gets, in [0, 1].

    The mean of the rules, as nobody knows which one gets how many requests; nothing where the rules
    are not known or give none of them any.
    """
    split = [[rule.weights.get(name, 0) for name in sorted(services.named)] for rule in rules]
    parts = [[one / sum(rule) for one in rule] for rule in split if sum(rule)]
    if not parts:
        return {}
    means = (sum(column) / len(parts) for column in zip(*parts, strict=True))
    return dict(zip(sorted(services.named), means, strict=True))


def largest_percent(asked: RuleMap, name: str) -> int:
    """Return the largest percentage that ``name`` gets in a rule, whatever its weights sum to.

    More than nothing is at least 1.
    """
    shares = (_WHOLE * rule.get(name, 0) / (sum(rule.values()) or 1) for rule in asked.values())
    return max((max(1, round(share)) for share in shares if share), default=0)


def _share(weights: Mapping[str, int], target: str, candidate: str) -> float:
    ours = weights.get(candidate, 0)
    both = weights.get(target, 0) + ours
    return ours / both if both else 0.0
