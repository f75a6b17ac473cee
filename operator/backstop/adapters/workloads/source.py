"""The version that a promotion takes over: the live template of another workload."""

from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.workloads.defaults import without_defaults
from backstop.adapters.workloads.template import pod_template, template_fingerprint
from backstop.core.facts import WorkloadFacts
from backstop.ports import ConflictError, KubeApi, UnsupportedError

_WITH_TEMPLATE: Final = {
    "Deployment": ("apps/v1", "deployments"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "Rollout": ("argoproj.io/v1alpha1", "rollouts"),
}
"""The kinds that can be a source: API version and plural."""


async def source_template(api: KubeApi, source: WorkloadFacts) -> dict[str, Any]:
    """Return the pod template of ``source`` as it is now.

    Raises:
        ConflictError: it is another one than when ``source`` was read.
        UnsupportedError: this kind keeps no pod template.
        OutsideError: it cannot be read.
    """
    ref = source.ref
    if ref.kind not in _WITH_TEMPLATE:
        raise UnsupportedError(
            f"{ref} has no pod template to take over; use one of {', '.join(_WITH_TEMPLATE)} as"
            " candidate"
        )
    group_version, plural = _WITH_TEMPLATE[ref.kind]
    body = await api.get(namespaced(group_version, ref.namespace, plural, ref.name))
    if "template" not in body["spec"]:
        raise UnsupportedError(
            f"the template of {ref} lives in another object (spec.workloadRef); put it into"
            " spec.template"
        )
    template = pod_template(body)
    compared = without_defaults(template) if ref.kind == "Rollout" else template
    if template_fingerprint(compared) != source.fingerprint:
        raise ConflictError(f"the template of {ref} changed since it was read")
    return template
