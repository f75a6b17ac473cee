"""``backstop approve``: answers what a monitor asks a person.

The answer is an annotation that names one action, so it holds for that action and for no other.
"""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from backstop.cli.kube import Access, annotate, ask, cluster_options, read_monitor, until

if TYPE_CHECKING:
    from backstop.api.status import Approval, ModelMonitorStatus
    from backstop.ports import KubeApi


@click.command()
@click.argument("monitor", metavar="MONITOR")
@click.argument("action_id", metavar="[ACTION_ID]", required=False)
@click.option("--deny", is_flag=True, help="Refuse it instead.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@cluster_options
def approve(
    *, monitor: str, action_id: str | None, deny: bool, yes: bool, **place: str | None
) -> None:
    """Approve the action of MONITOR that waits for a person, or deny it.

    Without ACTION_ID it shows what waits, and asks.
    """
    access = Access(**place)

    async def waiting(api: "KubeApi", namespace: str) -> tuple[str, "Approval"]:
        body = await read_monitor(api, namespace, monitor)
        return namespace, _pending(body, action_id)

    namespace, pending = ask(access, waiting)
    if action_id is None and not yes:
        for line in _shown(namespace, monitor, pending):
            click.echo(line)
        click.confirm(f"{'Deny' if deny else 'Approve'} it?", abort=True)
    for line in ask(access, _answering(monitor, pending.id, deny=deny)):
        click.echo(line)


def _status(body: Mapping[str, Any]) -> "ModelMonitorStatus":
    from backstop.runtime.record import parse_status

    return parse_status(body)


def _pending(body: Mapping[str, Any], wanted: str | None) -> "Approval":
    """Return what waits for an answer; it must be ``wanted``, if that is given."""
    status, name = _status(body), body["metadata"]["name"]
    if status.approval is None:
        seen = f": {status.why}" if status.why else ""
        raise click.ClickException(f"nothing of {name} waits for approval{seen}")
    if wanted not in {None, status.approval.id}:
        raise click.ClickException(
            f"no action {wanted} of {name} waits for approval; the one that waits is"
            f" {status.approval.id} ({status.approval.step})"
        )
    return status.approval


def _shown(namespace: str, monitor: str, pending: "Approval") -> list[str]:
    late = pending.expires.timestamp() <= time.time()
    return [
        f"ModelMonitor {namespace}/{monitor} asks to take the step {pending.step} ({pending.id})",
        f"  why      {pending.why}",
        f"  asked    {pending.asked:%Y-%m-%d %H:%M:%S} UTC",
        f"  expires  {pending.expires:%Y-%m-%d %H:%M:%S} UTC"
        + (", which is over: an answer may come too late" if late else ""),
    ]


def _answering(monitor: str, action_id: str, *, deny: bool) -> Any:
    from backstop.core.requests import APPROVE, DENY

    def wanted(body: Mapping[str, Any]) -> dict[str, str | None]:
        _pending(body, action_id)
        annotations = body["metadata"].get("annotations") or {}
        answer, opposite = (DENY, APPROVE) if deny else (APPROVE, DENY)
        return {
            answer: ",".join([*_kept(body, annotations.get(answer), action_id), action_id]),
            opposite: ",".join(_kept(body, annotations.get(opposite), action_id)) or None,
        }

    async def answered(api: "KubeApi", namespace: str) -> list[str]:
        await annotate(api, namespace, monitor, wanted)
        body, done = await until(api, namespace, monitor, lambda one: not _waits(one, action_id))
        status, said = _status(body), "denied" if deny else "approved"
        if done:
            return [f"{said}: {status.why}"]
        return [f"{said}, but Backstop has not answered within 10 s: does it run? {status.why}"]

    return answered


def _waits(body: Mapping[str, Any], action_id: str) -> bool:
    approval = _status(body).approval
    return approval is not None and approval.id == action_id


def _kept(body: Mapping[str, Any], written: str | None, answered: str) -> list[str]:
    """Return the ids in an annotation that still matter, but for the one that is answered now."""
    status = _status(body)
    live = {one.id for one in (status.approval, status.action) if one is not None} - {answered}
    return [one for one in (part.strip() for part in (written or "").split(",")) if one in live]
