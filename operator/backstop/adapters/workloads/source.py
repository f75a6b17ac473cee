"""The version that a promotion takes over: the live template of another workload."""

from typing import Any, Final

from backstop.adapters.paths import namespaced
from backstop.adapters.workloads.template import pod_template, template_fingerprint
from backstop.core.facts import WorkloadFacts
from backstop.ports import ConflictError, KubeApi, UnsupportedError

_WITH_TEMPLATE: Final = {"Deployment": "deployments", "StatefulSet": "statefulsets"}
"""Plurals of the kinds of ``apps/v1`` that can be a source."""


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
            f"{ref} has no pod template to take over; use a Deployment or a StatefulSet as"
            " candidate"
        )
    path = namespaced("apps/v1", ref.namespace, _WITH_TEMPLATE[ref.kind], ref.name)
    template = pod_template(await api.get(path))
    if template_fingerprint(template) != source.fingerprint:
        raise ConflictError(f"the template of {ref} changed since it was read")
    return template
