"""What all monitors do together, as far as it limits what one of them may do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fleet:
    """The state of the whole operator when a monitor decides.

    ``stopped`` is why all actions are stopped by the kill switch, empty when they are not.
    ``monitors`` is how many are watched in mode Act or Approve, ``acting`` how many of them have an
    incident under way in which something was done or is about to be, this one not counted.
    ``namespace_actions`` and ``actions`` count those of the last hour, in the monitor's namespace
    and everywhere; the other four are what the operator's configuration allows. ``blast_radius``
    is a share in [0, 1].

    The three that begin with ``assumed`` are what other shards may have begun so lately that nobody
    has seen it yet.
    """

    stopped: str = ""
    monitors: int = 1
    acting: int = 0
    namespace_actions: int = 0
    actions: int = 0
    namespace_actions_per_hour: int = 20
    actions_per_hour: int = 60
    blast_radius: float = 0.2
    blast_radius_at_least: int = 5
    assumed_acting: int = 0
    assumed_namespace_actions: int = 0
    assumed_actions: int = 0
