"""A signal as written in a spec: what all kinds share, and one field for each kind that exists.

The kinds come from the registry, so a new kind appears in the custom resource by being there.
"""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from backstop.api.base import ApiModel
from backstop.api.cel import cel
from backstop.core.signals.registry import kinds
from backstop.core.signals.rule import Pillar, Rule
from backstop.core.units import DnsLabel, Duration


@cel(
    "self.breaches <= self.looks",
    "breaches must not be larger than looks",
    lambda self: self.breaches <= self.looks,
)
class Persistence(ApiModel):
    """How often a bound must be broken before that is a breach: `breaches` of the last `looks`."""

    breaches: Annotated[int, Field(ge=1, le=20)] = 2
    """How many looks must find the bound broken."""

    looks: Annotated[int, Field(ge=1, le=20)] = 3
    """Among how many of the last looks; each look rests on at least one new sample."""


class SignalBase(ApiModel):
    """One measured property with a rule: exactly one of the kinds."""

    name: DnsLabel
    """Name of the signal, unique in the monitor."""

    pillar: Pillar | None = None
    """Which kind of health the signal speaks of; needed for `promql`, otherwise the kind's own."""

    window: Duration = "30s"
    """How far back the samples reach; at least four scrape intervals."""

    min_requests: Annotated[int, Field(ge=0, le=1_000_000_000)] = 50
    """Fewer observations than this in the window are no evidence: the verdict is Unknown."""

    persistence: Persistence = Persistence()
    """How often the bound must be broken before that is a breach."""

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
        return self.pillar or self.rule.PILLAR or Pillar.SYSTEM


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
        "!has(self.promql) || has(self.promql.min) || has(self.promql.max)",
        "promql needs min, max or both",
        lambda self: (
            self.promql is None or self.promql.min is not None or self.promql.max is not None
        ),
    )(Signal)
    cel(
        "!has(self.promql) || has(self.pillar)",
        "a promql signal needs pillar: data, model, system or business",
        lambda self: self.promql is None or self.pillar is not None,
    )(Signal)
    cel(
        f"{_ONE_KIND} == 1",
        f"a signal needs exactly one of {', '.join(kinds())}",
        lambda self: sum(getattr(self, kind) is not None for kind in kinds()) == 1,
    )(Signal)
