"""What leaves the cluster: notifications for people, and calls for other programs."""

from dataclasses import dataclass

from backstop.api.words import Severity


@dataclass(frozen=True, slots=True)
class Notification:
    """What people are told.

    ``id`` is that of the action: a repetition has the same one. ``monitor`` is
    ``namespace/name``; ``audience`` is whom the runbook names (free words, may be empty); ``page``
    says that somebody is to be woken.
    """

    id: str
    monitor: str
    incident: str
    severity: Severity
    title: str
    text: str
    audience: str = ""
    page: bool = False


@dataclass(frozen=True, slots=True)
class WebhookCall:
    """One call of a runbook: where to, and what is sent as JSON; ``action_id`` makes it unique."""

    action_id: str
    url: str
    payload: str
    timeout: float
