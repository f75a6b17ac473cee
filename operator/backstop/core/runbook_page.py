"""The runbook of one monitor as a page for people, in Markdown.

Pure rendering: the steps that would be taken, cause by cause, in the words of the person on call,
and, while an incident is under way, how far they have come.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from backstop.api.modelmonitor import Mode, ModelMonitorSpec
from backstop.api.runbook import Causes, RunbookStep
from backstop.api.status import Episode, ModelMonitorStatus, StepProgress
from backstop.api.words import Cause, Progress, Severity
from backstop.core import step_words
from backstop.core.built_in import BUILT_IN
from backstop.core.episode import under_way

_MODES: Final = {
    Mode.OBSERVE: "The mode is Observe: steps are decided and recorded, and nothing is changed.",
    Mode.APPROVE: "The mode is Approve: each change waits for a person's approval.",
    Mode.ACT: "The mode is Act: Backstop takes these steps by itself.",
}
_STATES: Final = {
    Progress.WAITING: "waits for approval",
    Progress.RUNNING: "under way",
    Progress.DONE: "done",
    Progress.HELPED: "has helped",
    Progress.NOT_HELPED: "has not helped",
    Progress.FAILED: "has failed",
    Progress.SKIPPED: "skipped",
}


@dataclass(frozen=True, slots=True)
class Page:
    """What is shown: a monitor and where its steps come from.

    ``runbook`` holds the monitor's own steps, ``None`` where it has none; ``source`` is the name of
    a Runbook, ``inline`` or ``built-in``. ``problem`` says why a Runbook that is named is not used.
    """

    namespace: str
    monitor: str
    spec: ModelMonitorSpec
    runbook: Causes | None = None
    source: str = "built-in"
    description: str = ""
    problem: str = ""
    status: ModelMonitorStatus = field(default_factory=ModelMonitorStatus)


def lines(page: Page, causes: Sequence[Cause] = tuple(Cause)) -> Iterator[str]:
    """Yield the lines of the page about ``causes``."""
    yield f"# Runbook of ModelMonitor {page.namespace}/{page.monitor}"
    yield ""
    yield _MODES[page.spec.mode]
    if page.problem:
        yield ""
        yield f"**The built-in steps hold: {page.problem}**"
    if page.description:
        yield ""
        yield from page.description.strip().splitlines()
    episode = _incident(page)
    if episode is not None:
        yield ""
        yield from _of_incident(page, episode)
    for cause in causes:
        yield ""
        yield from _of_cause(page, cause, episode)


def _incident(page: Page) -> Episode | None:
    episode = under_way(page.status)
    return None if episode is None or episode.severity is Severity.P2 else episode


def _of_incident(page: Page, episode: Episode) -> Iterator[str]:
    yield (
        f"**Incident {episode.name} is under way** since"
        f" {episode.onset:%Y-%m-%d %H:%M:%S} UTC, {episode.severity}, cause {episode.cause}:"
        f" {episode.why}"
    )
    waiting = page.status.approval
    if waiting is not None:
        yield ""
        yield (
            f"{waiting.step} waits for approval until {waiting.expires:%H:%M:%S} UTC:"
            f" `backstop approve {page.monitor} {waiting.id} -n {page.namespace}`"
        )


def _of_cause(page: Page, cause: Cause, episode: Episode | None) -> Iterator[str]:
    own = page.runbook.steps(cause) if page.runbook is not None else None
    steps = (BUILT_IN.steps(cause) or []) if own is None else own
    yield f"## {cause}"
    yield ""
    yield f"{step_words.CAUSES[cause]} {_whence('built-in' if own is None else page.source)}"
    if not steps:
        yield ""
        yield "Nothing is done: the list of steps is empty."
    reached = episode if episode is not None and episode.cause is cause else None
    for number, step in enumerate(steps, start=1):
        yield ""
        yield from _of_step(page, number, steps, _progress(reached, step))


def _whence(source: str) -> str:
    if source == "built-in":
        return "These steps are built-in."
    if source == "inline":
        return "These steps are written in the monitor."
    return f"These steps are those of Runbook `{source}`."


def _progress(episode: Episode | None, step: RunbookStep) -> StepProgress | None:
    steps = episode.steps if episode is not None else []
    return next((one for one in steps if one.name == step.name), None)


def _of_step(
    page: Page, number: int, steps: Sequence[RunbookStep], reached: StepProgress | None
) -> Iterator[str]:
    step, indent = steps[number - 1], "   "
    done = step_words.does(step, page.spec, page.monitor, page.namespace)
    end = "" if done.endswith((".", "!", "?")) else "."
    yield f"{number}. **{step.name}**{_state(reached)}: {done}{end}"
    never = step_words.never(step, page.spec)
    said = [
        f"always skipped, as {never}" if never else "",
        *step_words.conditions(step.when),
        step_words.limit(step),
        step_words.helps(step),
        step_words.follows(step, steps[number:]),
    ]
    for clause in filter(None, said):
        yield f"{indent}- {clause}"
    if step.description:
        yield ""
        for line in step.description.strip().splitlines():
            yield f"{indent}{line}".rstrip()


def _state(reached: StepProgress | None) -> str:
    if reached is None:
        return ""
    why = f", {reached.why}" if reached.why else ""
    return f" ({_STATES[reached.state]} since {reached.since:%H:%M:%S} UTC{why})"
