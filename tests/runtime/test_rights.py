"""A verb that is not allowed is a problem of the monitors that need it, and of no other."""

from typing import Any

import pytest
from tests.core.build import spec

from backstop.api.conditions import Reason
from backstop.core.needs import ALL, Need
from backstop.ports import UnavailableError
from backstop.runtime.record import record_of
from backstop.runtime.rights import Rights, denials

PATCH = Need("apps", "deployments", "patch")
EVERYTHING = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}


def rule(*needs: Need) -> list[dict[str, Any]]:
    return [
        {"verbs": [one.verb], "apiGroups": [one.group], "resources": [one.resource]}
        for one in needs
    ]


class Api:
    """Answers reviews, by namespace."""

    def __init__(self, **rules: list[dict[str, Any]]) -> None:
        self.rules, self.down = rules, False

    async def create(self, _: str, body: Any) -> dict[str, Any]:
        if self.down:
            raise UnavailableError("no answer")
        known = self.rules.get(body["spec"]["namespace"], self.rules.get("everywhere", []))
        return {"status": {"resourceRules": known, "incomplete": False}}


def monitor(namespace: str = "demo", **changes: Any) -> Any:
    metadata = {"namespace": namespace, "name": "fraud", "uid": "u", "generation": 1}
    wanted = spec(**changes).model_dump(by_alias=True, exclude_none=True, mode="json")
    body = {"metadata": {**metadata, "resourceVersion": "1"}, "spec": wanted}
    return record_of(body, {})


@pytest.mark.parametrize(
    ("rules", "denied"),
    [
        ([EVERYTHING], False),
        (rule(PATCH), False),
        ([{**EVERYTHING, "verbs": ["get", "patch"]}], False),
        ([{**EVERYTHING, "apiGroups": ["apps"]}], False),
        ([{**EVERYTHING, "apiGroups": ["batch"]}], True),
        ([{**EVERYTHING, "verbs": ["get"]}], True),
        ([{**EVERYTHING, "resources": ["deployments/scale"]}], True),
        # A rule for single objects grants nothing for those that a monitor may name.
        ([{**EVERYTHING, "resourceNames": ["fraud"]}], True),
        ([], True),
    ],
)
def test_rules_are_read_as_the_api_server_means_them(rules, denied):
    """Stars, groups, subresources and names of single objects included."""
    assert (PATCH in denials({"resourceRules": rules})) is denied


def test_a_star_covers_subresources_of_all():
    """As `*/scale` does."""
    scale = Need("apps", "deployments/scale", "patch")
    assert scale not in denials(
        {"resourceRules": [{"verbs": ["patch"], "apiGroups": ["apps"], "resources": ["*/scale"]}]}
    )


def test_rules_that_are_incomplete_deny_nothing():
    """A webhook may allow more than the API server can list."""
    assert denials({"resourceRules": [], "incomplete": True}) == frozenset()


async def test_a_missing_verb_is_told_to_the_monitors_that_need_it():
    """The sentence names verb, resource and namespace; who only observes is not concerned."""
    rights = Rights(Api(everywhere=rule(*(ALL - {PATCH}))))  # type: ignore[arg-type]
    await rights.refresh()
    (problem,) = rights.problems(monitor(mode="Act"), None)
    assert problem.reason is Reason.FORBIDDEN
    assert "in namespace demo: patch deployments.apps" in problem.message
    assert not problem.stalled
    assert rights.problems(monitor(mode="Observe"), None) == []


async def test_each_namespace_has_its_own_rights():
    """What one lacks is no problem of another."""
    api = Api(good=[EVERYTHING], poor=[])
    rights = Rights(api, ("good", "poor"))  # type: ignore[arg-type]
    await rights.refresh()
    assert rights.problems(monitor("good", mode="Act"), None) == []
    assert rights.problems(monitor("poor", mode="Act"), None) != []
    assert rights.is_blind("poor", "apps", "deployments")
    assert not rights.is_blind("good", "apps", "deployments")


async def test_rights_that_come_back_are_noticed_without_a_restart():
    """And an API server that cannot say leaves what was known."""
    api = Api(everywhere=[])
    rights = Rights(api)  # type: ignore[arg-type]
    await rights.refresh()
    api.down = True
    await rights.refresh()
    assert rights.problems(monitor(mode="Act"), None) != []
    api.down, api.rules = False, {"everywhere": [EVERYTHING]}
    await rights.refresh()
    assert rights.problems(monitor(mode="Act"), None) == []


async def test_nothing_is_missing_before_anybody_was_asked():
    """A monitor is not blamed for a question that was not put yet."""
    assert Rights(Api()).problems(monitor(mode="Act"), None) == []  # type: ignore[arg-type]
