"""What this operator may do, asked of the API server now and then.

A missing verb is told before an incident needs it: as a problem of each monitor that needs it, and
of no other. Where the API server cannot say what is allowed, nothing is taken to be missing.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from backstop.api.conditions import ConditionType, Reason
from backstop.api.runbook import Causes
from backstop.core.conditions import Problem
from backstop.core.needs import ALL, Need, needs, say
from backstop.ports import KubeApi, OutsideError
from backstop.runtime.record import Record

_LOG = structlog.get_logger(__name__)

ASK_EVERY: Final = 30.0
"""Seconds between questions."""

_REVIEWS: Final = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"
_NO_NAMESPACE: Final = "backstop-asks-for-cluster-wide-rules"
"""Rules of the whole cluster hold in a namespace that does not exist, too, and no others do."""

_WATCH: Final = frozenset({"list", "watch"})


@dataclass(slots=True)
class Rights:
    """What is denied in ``namespaces``; in all of the cluster, where there are none."""

    api: KubeApi
    namespaces: tuple[str, ...] = ()
    _denied: dict[str, frozenset[Need]] = field(default_factory=dict)
    _failures: dict[str, str] = field(default_factory=dict)
    _partial: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Ask again and again; runs until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(ASK_EVERY)

    async def refresh(self) -> None:
        """Ask for the rules of each namespace once; what cannot be asked stays as it was."""
        for namespace in self.namespaces or (_NO_NAMESPACE,):
            body = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectRulesReview",
                "spec": {"namespace": namespace},
            }
            try:
                answer = await self.api.create(_REVIEWS, body)
            except OutsideError as error:
                _LOG.warning("permissions not known", error=str(error))
                self._failures[namespace] = str(error)
                continue
            self._failures.pop(namespace, None)
            status = answer.get("status") or {}
            (self._partial.add if status.get("incomplete") else self._partial.discard)(namespace)
            denied = denials(status)
            if denied != self._denied.get(namespace, frozenset()):
                _LOG.info("permissions changed", namespace=namespace, missing=len(denied))
            self._denied[namespace] = denied

    def denied(self, namespace: str) -> frozenset[Need]:
        """Return all verbs that a monitor in ``namespace`` could need and is not allowed."""
        return self._denied.get(namespace if self.namespaces else _NO_NAMESPACE, frozenset())

    def failure(self, namespace: str) -> str:
        """Return why the last question about ``namespace`` had no answer, ``""`` if it had one."""
        return self._failures.get(namespace if self.namespaces else _NO_NAMESPACE, "")

    def is_partial(self, namespace: str) -> bool:
        """Return whether the API server knows only a part of the rules in ``namespace``."""
        return (namespace if self.namespaces else _NO_NAMESPACE) in self._partial

    def is_blind(self, namespace: str, group: str, resource: str) -> bool:
        """Return whether changes of a resource cannot be watched in ``namespace``."""
        denied = self.denied(namespace)
        return any(Need(group, resource, verb) in denied for verb in _WATCH) if denied else False

    def problems(self, record: Record, runbook: Causes | None) -> list[Problem]:
        """Return what ``record`` needs and is not allowed, as one problem."""
        denied, spec = self.denied(record.namespace), record.spec
        if not denied or spec is None:
            return []
        router = record.route.kind if record.route else None
        missing = denied & needs(spec, router, runbook)
        if not missing:
            return []
        said = say(missing, record.namespace)
        return [Problem(ConditionType.READY, Reason.FORBIDDEN, said)]


def denials(status: Mapping[str, Any]) -> frozenset[Need]:
    """Return which of all needs the rules in the status of a SelfSubjectRulesReview do not grant.

    Rules that are said to be incomplete deny nothing, nor do those for single objects grant.
    """
    if status.get("incomplete"):
        return frozenset()
    rules = [one for one in status.get("resourceRules") or () if not one.get("resourceNames")]
    return frozenset(need for need in ALL if not any(_grants(one, need) for one in rules))


def _grants(rule: Mapping[str, Any], need: Need) -> bool:
    _, slash, sub = need.resource.partition("/")
    resources = {"*", need.resource, *([f"*/{sub}"] if slash else ())}
    return (
        _any({"*", need.verb}, rule.get("verbs"))
        and _any({"*", need.group}, rule.get("apiGroups"))
        and _any(resources, rule.get("resources"))
    )


def _any(wanted: set[str], listed: Iterable[str] | None) -> bool:
    return not wanted.isdisjoint(listed or ())
