"""The cluster of the person who types: which one, which namespace, which monitor.

Whatever keeps a command from its work becomes one sentence that says what to change, and the exit
status 1. Requests of a person are annotations, written under the version that was read.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from backstop.ports import KubeApi

T = TypeVar("T")
Json = dict[str, Any]

WAIT: Final = 10.0
"""Seconds for which a command waits for the operator's answer."""

_POLL: Final = 0.25
_PLAIN: Final = re.compile(r"[A-Za-z0-9]([-.A-Za-z0-9]*[A-Za-z0-9])?")
"""What may stand in a path; capitals too, for which the cluster then knows a near name."""
_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Access:
    """Which cluster and namespace are meant; ``None`` is what the kubeconfig says."""

    namespace: str | None = None
    kubeconfig: str | None = None
    context: str | None = None


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command about a cluster has."""
    for option in (
        click.option("--context", metavar="NAME", help="Context of the kubeconfig."),
        click.option("--kubeconfig", metavar="FILE", help="Default: $KUBECONFIG, or in-cluster."),
        click.option("-n", "--namespace", help="Of the monitor.  [default: that of the context]"),
    ):
        command = option(command)
    return command


def ask(access: Access, work: "Callable[[KubeApi, str], Awaitable[T]]") -> T:
    """Return what ``work`` finds with the API of the cluster and the namespace that are meant.

    Raises:
        ClickException: there is no such cluster, or it refuses.
    """
    from backstop.ports import ForbiddenError, OutsideError

    try:
        return asyncio.run(_ask(access, work))
    except ForbiddenError as error:
        raise click.ClickException(f"you may not do this: {error}") from None
    except OutsideError as error:
        raise click.ClickException(str(error)) from None


async def _ask(access: Access, work: "Callable[[KubeApi, str], Awaitable[T]]") -> T:
    from backstop.adapters.kube import KubernetesApi
    from backstop.ports import OutsideError, UnavailableError

    if access.namespace is not None and not _PLAIN.fullmatch(access.namespace):
        raise click.ClickException(f'"{access.namespace}" is not the name of a namespace')
    api = await KubernetesApi.connect(kubeconfig=access.kubeconfig, context=access.context)
    try:
        return await work(api, access.namespace or _namespace(access))
    except UnavailableError as error:
        raise OutsideError(f"{error}; its address is {api.server}") from None
    finally:
        await api.close()


def _namespace(access: Access) -> str:
    """Return the namespace of the context, or of the pod in which the command runs."""
    from kubernetes.aio import config

    listed: Any = config.list_kube_config_contexts
    try:
        contexts, active = listed(access.kubeconfig)
    except (config.ConfigException, OSError, ValueError, TypeError):
        return _POD_NAMESPACE.read_text() if _POD_NAMESPACE.is_file() else "default"
    named = [one for one in contexts if one["name"] == access.context]
    chosen = named[0] if named else active
    return str((chosen or {}).get("context", {}).get("namespace") or "default")


def monitor_path(namespace: str, name: str) -> str:
    """Return the path of a monitor in the API, of all of the namespace where ``name`` is empty."""
    from backstop.adapters.paths import namespaced
    from backstop.api import API_VERSION

    return namespaced(API_VERSION, namespace, "modelmonitors", name)


async def read_monitor(api: "KubeApi", namespace: str, name: str) -> Json:
    """Return the monitor as it is stored.

    Raises:
        ClickException: there is no such monitor.
        OutsideError: it cannot be read.
    """
    from backstop.ports import NotFoundError, UnknownKindError

    if not _PLAIN.fullmatch(name):
        raise click.ClickException(
            f'"{name}" is not the name of a ModelMonitor: write the name alone, for example fraud'
        )
    try:
        return await api.get(monitor_path(namespace, name))
    except UnknownKindError:
        raise click.ClickException(
            "this cluster does not know ModelMonitors; install them with"
            " `backstop crds | kubectl apply --server-side -f -`"
        ) from None
    except NotFoundError:
        raise click.ClickException(await _absent(api, namespace, name)) from None


async def _absent(api: "KubeApi", namespace: str, name: str) -> str:
    said = f"there is no ModelMonitor {name} in namespace {namespace}"
    names = [one["metadata"]["name"] for one in await _listed(api, monitor_path(namespace, ""))]
    others = await _listed(api, monitor_path(namespace, "").replace(f"/namespaces/{namespace}", ""))
    elsewhere = [m["metadata"]["namespace"] for m in others if m["metadata"]["name"] == name]
    if elsewhere:
        return f"{said}; there is one in namespace {elsewhere[0]}: add -n {elsewhere[0]}"
    if near := get_close_matches(name, names, n=1):
        return f"{said}; did you mean {near[0]}?"
    return f"{said}; it has {', '.join(sorted(names)[:10]) or 'none'}"


async def _listed(api: "KubeApi", path: str) -> list[Json]:
    """Return the objects at ``path``, none where they may not be listed."""
    from backstop.ports import OutsideError

    try:
        return await api.list(path)
    except OutsideError:
        return []


async def annotate(
    api: "KubeApi",
    namespace: str,
    name: str,
    wanted: Callable[[Json], Mapping[str, str | None]],
) -> Json:
    """Write the annotations that ``wanted`` makes of the monitor; ``None`` removes one.

    Nothing else of the monitor changes. When somebody writes it meanwhile, it is read again, once.

    Raises:
        ClickException: ``wanted`` says that the request makes no sense now.
        OutsideError: the API server refuses.
    """
    from backstop.ports import ConflictError

    for attempt in range(2):
        body = await read_monitor(api, namespace, name)
        metadata = {
            "resourceVersion": body["metadata"]["resourceVersion"],
            "annotations": dict(wanted(body)),
        }
        try:
            return await api.merge_patch(monitor_path(namespace, name), {"metadata": metadata})
        except ConflictError:
            if attempt:
                raise
    raise AssertionError  # pragma: no cover - the loop returns or raises


async def until(
    api: "KubeApi", namespace: str, name: str, done: Callable[[Json], bool]
) -> tuple[Json, bool]:
    """Return the monitor once ``done`` holds, or after ten seconds, and whether it does."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + WAIT
    while True:
        body = await read_monitor(api, namespace, name)
        if done(body) or loop.time() >= ends:
            return body, done(body)
        await asyncio.sleep(_POLL)
