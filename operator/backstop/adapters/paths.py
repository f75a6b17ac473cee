"""Paths of namespaced objects in the Kubernetes API.

Names come from specs; each part is quoted, so that no name can reach outside its collection.
"""

from urllib.parse import quote


def collection(group_version: str, plural: str, namespace: str = "") -> str:
    """Return the path of a collection in ``namespace``, in all of them where it is empty."""
    if namespace:
        return namespaced(group_version, namespace, plural)
    return f"/apis/{group_version}/{plural}"


def namespaced(
    group_version: str, namespace: str, plural: str, name: str = "", subresource: str = ""
) -> str:
    """Return the path of an object, of its subresource, or (without ``name``) of the collection.

    ``group_version`` is ``v1`` for the core group, else for example ``apps/v1``.
    """
    root = "/apis" if "/" in group_version else "/api"
    parts = ["namespaces", namespace, plural, name, subresource]
    return "/".join([f"{root}/{group_version}", *(quote(part, safe="") for part in parts if part)])
