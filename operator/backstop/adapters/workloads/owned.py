"""What belongs to a workload: found by its selector, and told apart by the owner's uid."""

from collections.abc import Mapping
from typing import Any

from backstop.adapters.paths import namespaced
from backstop.ports import KubeApi


async def owned(
    api: KubeApi, workload: Mapping[str, Any], group_version: str, plural: str
) -> list[dict[str, Any]]:
    """Return the objects of collection ``plural`` whose controller ``workload`` is."""
    metadata = workload["metadata"]
    found = await api.list(
        namespaced(group_version, metadata["namespace"], plural),
        labelSelector=_selector(workload["spec"].get("selector") or {}),
    )
    return [one for one in found if controller(one).get("uid") == metadata["uid"]]


def controller(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the reference to the controller of an object, empty where it has none."""
    for reference in body["metadata"].get("ownerReferences") or ():
        if reference.get("controller"):
            found: Mapping[str, Any] = reference
            return found
    return {}


def _selector(selector: Mapping[str, Any]) -> str:
    terms = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for one in selector.get("matchExpressions") or ():
        values = f"({','.join(one.get('values') or ())})"
        terms.append(
            {
                "In": f"{one['key']} in {values}",
                "NotIn": f"{one['key']} notin {values}",
                "Exists": one["key"],
                "DoesNotExist": f"!{one['key']}",
            }[one["operator"]]
        )
    return ",".join(terms)
