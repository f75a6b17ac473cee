"""A signal as written in a spec: what all kinds share, and one field for each kind that exists.

The kinds come from the registry, so a new kind appears in the custom resource by being there.
"""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from backstop.api.base import ApiModel
from backstop.core.cel import cel
from backstop.core.measurement import Pillar
from backstop.core.signals.registry import kinds
from backstop.core.signals.rule import OnBreach, Rule
from backstop.core.units import DnsLabel, Duration


@cel(
    "self.breaches <= self.looks",
    "breaches must not be larger than looks",
    lambda self: self.breaches <= self.looks,
)
class Persistence(ApiModel):
    """How often a limit must be broken before that is a breach: `breaches` of the last `looks`."""

    breaches: Annotated[int, Field(ge=1, le=20)] = 2
    """How many looks must find the limit broken."""

    looks: Annotated[int, Field(ge=1, le=20)] = 3
    """Among how many of the last looks; each look rests on at least one new sample."""


class SignalBase(ApiModel):
    """One measured property with a rule: exactly one of the kinds."""

    name: DnsLabel
    """Name of the signal, unique in the monitor."""

    pillar: Pillar | None = None
    """Which kind of health the signal speaks of; needed where the kind has none of its own."""

    window: Duration | None = None
    """How far back the samples reach, at least four scrape intervals. Each kind has a default."""

    min_samples: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """Fewer observations than this in the window are no evidence: the verdict is Unknown. Each
    kind has a default."""

    persistence: Persistence | None = None
    """How often the limit must be broken before that is a breach. Each kind has a default."""

    on_breach: OnBreach | None = None
    """What a breach leads to: `Act` (diagnose, mitigate, repair) or `Report` (open a P2 incident
    and change nothing). Each kind has a default."""

    @property
    def rule(self) -> Rule:
        """The one rule that is set.

        Raises:
            ValueError: none or several are set, which the API server refuses.
        """
        rules = [rule for kind in kinds() if (rule := getattr(self, kind)) is not None]
        if len(rules) != 1:
            raise ValueError(f"signal {self.name} needs exactly one of {', '.join(kinds())}")
        found: Rule = rules[0]
        return found

    @property
    def speaks_of(self) -> Pillar:
        """The pillar, from the spec or else from the kind."""
        return self.pillar or self.rule.pillar or Pillar.SYSTEM

    @property
    def looks_back(self) -> Duration:
        """How far back the samples reach, from the spec or else from the kind."""
        return self.window or self.rule.WINDOW

    @property
    def demands(self) -> int:
        """How many observations are demanded, from the spec or else from the kind."""
        return self.rule.SAMPLES if self.min_samples is None else self.min_samples

    @property
    def persists(self) -> Persistence:
        """How often the limit must be broken, from the spec or else from the kind."""
        breaches, looks = self.rule.PERSISTENCE
        return self.persistence or Persistence(breaches=breaches, looks=looks)

    @property
    def leads_to(self) -> OnBreach:
        """What a breach leads to, from the spec or else from the kind."""
        return self.on_breach or self.rule.on_breach


if TYPE_CHECKING:
    Signal = SignalBase
else:
    _ONE_KIND = " + ".join(f"(has(self.{kind}) ? 1 : 0)" for kind in kinds())
    _kind_fields: dict[str, Any] = {
        kind: (rule | None, Field(default=None, description=rule.__doc__))
        for kind, rule in kinds().items()
    }
    Signal = create_model("Signal", __base__=SignalBase, __doc__=SignalBase.__doc__, **_kind_fields)
    cel(
        "has(self.pillar) || !has(self.threshold) || !(has(self.threshold.ratio)"
        " || has(self.threshold.mean) || has(self.threshold.rate) || has(self.threshold.promql))",
        "a signal on ratio, mean, rate or promql needs pillar: data, model, system or business",
        lambda self: (
            self.pillar is not None
            or self.threshold is None
            or self.threshold.measure_of.PILLAR is not None
        ),
    )(Signal)
    cel(
        f"{_ONE_KIND} == 1",
        f"a signal needs exactly one of {', '.join(kinds())}",
        lambda self: sum(getattr(self, kind) is not None for kind in kinds()) == 1,
    )(Signal)
