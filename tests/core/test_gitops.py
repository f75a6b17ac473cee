"""Who else writes an object: told from what tools leave in its metadata, and from nothing else."""

import pytest

from backstop.core.gitops import last_manager, owner


def entry(manager: str, time: str = "2026-01-01T00:00:00Z", subresource: str = "") -> dict:
    """Return an entry of managedFields."""
    return {"manager": manager, "time": time, "subresource": subresource}


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        ({}, ""),
        ({"annotations": None, "labels": None, "managedFields": None}, ""),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "shop:apps"}}, "Argo CD"),
        ({"labels": {"argocd.argoproj.io/instance": "shop"}}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}, "Flux"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "shop"}}, "Flux"),
        ({"labels": {"app.kubernetes.io/instance": "shop"}}, ""),
        ({"managedFields": [entry("kubectl"), entry("argocd-controller")]}, "Argo CD"),
        ({"managedFields": [entry("kustomize-controller")]}, "Flux"),
        ({"managedFields": [entry("helm")]}, ""),
    ],
)
def test_a_tool_is_known_by_its_marks(metadata, tool):
    """Labels that anybody may set tell nothing."""
    assert owner(metadata) == tool


@pytest.mark.parametrize(
    ("entries", "manager"),
    [
        ([], ""),
        ([entry("backstop")], ""),
        ([entry("kubectl"), entry("backstop", "2026-02-01T00:00:00Z")], "kubectl"),
        ([entry("kubectl"), entry("helm", "2026-01-02T00:00:00Z")], "helm"),
        ([entry("kubectl"), entry("contour", "2026-01-02T00:00:00Z", "status")], "kubectl"),
    ],
)
def test_the_last_manager_is_somebody_else_who_wrote_the_object(entries, manager):
    """Our own writes and those to the status do not count."""
    assert last_manager({"managedFields": entries}) == manager
