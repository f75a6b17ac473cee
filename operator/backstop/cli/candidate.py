"""``backstop candidate``: what a person wants of the version under trial.

A request is an annotation. ``pause`` holds for as long as it stands, ``promote`` and ``abort`` are
answered once; one that was answered before is taken away first, so that it counts again.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from backstop.cli.kube import Access, annotate, ask, cluster_options, read_monitor, until

if TYPE_CHECKING:
    from backstop.api.modelmonitor import ModelMonitorSpec
    from backstop.api.status import CandidateStatus
    from backstop.core.requests import CandidateRequest
    from backstop.ports import KubeApi


@click.group()
def candidate() -> None:
    """Pause, resume, promote or abort the candidate's trial."""


def _command(name: str, what: str) -> None:
    @candidate.command(name, help=what)
    @click.argument("monitor", metavar="MONITOR")
    @cluster_options
    def command(*, monitor: str, **place: str | None) -> None:
        async def work(api: "KubeApi", namespace: str) -> list[str]:
            return await _request(api, namespace, monitor, name)

        for line in ask(Access(**place), work):
            click.echo(line)


_command("pause", "Leave the candidate of MONITOR at its step until it is resumed.")
_command("resume", "Let the trial of MONITOR's candidate go on.")
_command("promote", "Give the candidate of MONITOR its last step, and promote it, without waiting.")
_command("abort", "Take all traffic from the candidate of MONITOR and end its trial.")


async def _request(api: "KubeApi", namespace: str, monitor: str, name: str) -> list[str]:
    from backstop.core.requests import CANDIDATE, CandidateRequest

    wish = None if name == "resume" else CandidateRequest(name)
    body = await read_monitor(api, namespace, monitor)
    before = _trial(body)
    who = _allowed(body, before, name)
    stands = (body["metadata"].get("annotations") or {}).get(CANDIDATE)
    if wish is None and stands != CandidateRequest.PAUSE:
        return [f"{who} is not paused: {_said(before)}"]
    if wish is not None and before.answered == wish:
        await annotate(api, namespace, monitor, lambda _: {CANDIDATE: None})
        await until(api, namespace, monitor, lambda one: _trial(one).answered != wish)
    await annotate(api, namespace, monitor, lambda _: {CANDIDATE: wish})
    after, done = await until(api, namespace, monitor, _done(wish))
    lines = [f"{who}: {_said(before)} -> {_said(_trial(after))}"]
    if not done:
        lines.append(f"Backstop has not done so within 10 s: {_held(after)}")
    return lines


def _trial(body: Mapping[str, Any]) -> "CandidateStatus":
    from backstop.api.status import CandidateStatus
    from backstop.runtime.record import parse_status

    return parse_status(body).candidate or CandidateStatus()


def _spec(body: Mapping[str, Any]) -> "ModelMonitorSpec":
    from backstop.core.promotion import effective_spec
    from backstop.runtime.record import parse_status, understand

    spec, _, invalid = understand(body, {})
    if spec is None:
        said = invalid.message if invalid is not None else "it is not valid"
        raise click.ClickException(f"{body['metadata']['name']}: {said}")
    return effective_spec(spec, parse_status(body))


def _allowed(body: Mapping[str, Any], trial: "CandidateStatus", name: str) -> str:
    """Return the candidate's name.

    Raises:
        ClickException: the request could not do anything.
    """
    from backstop.api.modelmonitor import Mode
    from backstop.core.trials import LIVE

    spec, monitor = _spec(body), body["metadata"]["name"]
    if spec.candidate is None:
        raise click.ClickException(f"{monitor} has no candidate: name one in spec.candidate")
    if spec.candidate.progression is None and name != "abort":
        raise click.ClickException(
            f"the candidate of {monitor} has no progression, so Backstop does not move its traffic:"
            " give it steps in spec.candidate.progression"
        )
    if spec.mode is Mode.OBSERVE and name in {"promote", "abort"}:
        raise click.ClickException(
            f"the mode of {monitor} is Observe, in which no traffic is moved: set spec.mode to Act"
        )
    if trial.phase not in LIVE and name != "resume":
        raise click.ClickException(
            f"the trial of {spec.candidate.name} is over: {_said(trial)}; another pod template"
            " begins another trial"
        )
    return spec.candidate.name


def _done(wish: "CandidateRequest | None") -> Callable[[Mapping[str, Any]], bool]:
    from backstop.api.words import TrialPhase
    from backstop.core.requests import CandidateRequest

    def done(body: Mapping[str, Any]) -> bool:
        trial = _trial(body)
        if wish is None:
            return trial.phase is not TrialPhase.PAUSED
        if wish is CandidateRequest.PAUSE:
            return trial.phase is TrialPhase.PAUSED
        return trial.answered == wish

    return done


def _said(trial: "CandidateStatus") -> str:
    share = f" at {trial.weight} %" if trial.weight else ""
    return f"{trial.phase}{share}" + (f" ({trial.why})" if trial.why else "")


def _held(body: Mapping[str, Any]) -> str:
    from backstop.runtime.record import parse_status

    status = parse_status(body)
    return status.held or status.why or "does it run?"
