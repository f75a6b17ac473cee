"""Rules that keep the number they measured, for who wants to see more than the verdict."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

from backstop.core.measurement import Measured, Measurement, Pillar, Question
from backstop.core.signals.rule import Asked, OnBreach, Rule, Scope, Subject
from backstop.core.tally import Tally


class Tapped(Rule):
    """Measures as ``inner`` does, and keeps the number until it is taken."""

    KIND: ClassVar[str] = ""

    inner: Rule
    """What measures."""

    _number: float = math.nan

    @property
    def pillar(self) -> Pillar | None:
        """The pillar of the inner rule; see :attr:`Rule.pillar`."""
        return self.inner.pillar

    @property
    def on_breach(self) -> OnBreach:
        """That of the inner rule; see :attr:`Rule.on_breach`."""
        return self.inner.on_breach

    @property
    def attributes(self) -> bool:
        """That of the inner rule; see :attr:`Rule.attributes`."""
        return self.inner.attributes

    @property
    def scope(self) -> Scope:
        """That of the inner rule; see :attr:`Rule.scope`."""
        return self.inner.scope

    @property
    def config_map(self) -> str | None:
        """That of the inner rule; see :attr:`Rule.config_map`."""
        return self.inner.config_map

    def settles(self, window: float) -> float:
        """Return that of the inner rule; see :meth:`Rule.settles`."""
        return self.inner.settles(window)

    def questions(self, subject: Subject, window: float) -> Mapping[str, Question]:
        """Return the questions of the inner rule; see :meth:`Rule.questions`."""
        return self.inner.questions(subject, window)

    @classmethod
    def measure_all(
        cls, rules: Sequence[Self], asked: Sequence[Asked], tally: Tally
    ) -> list[Measured]:
        """Let each kind measure its own, all at once; see :meth:`Rule.measure_all`."""
        by_kind: dict[type[Rule], list[int]] = {}
        for place, rule in enumerate(rules):
            by_kind.setdefault(type(rule.inner), []).append(place)
        found: dict[int, Measured] = {}
        for kind, places in by_kind.items():
            # All of one kind, which only the grouping above knows.
            inner: list[Any] = [rules[place].inner for place in places]
            measured = kind.measure_all(inner, [asked[place] for place in places], tally)
            found.update(zip(places, measured, strict=True))
        for place, rule in enumerate(rules):
            one = found[place]
            rule._number = one.value if isinstance(one, Measurement) else math.nan  # noqa: SLF001 (its own class)
        return [found[place] for place in range(len(rules))]

    def take(self) -> float | None:
        """Return the number of the last measurement, once; ``None`` where there is none."""
        number, self._number = self._number, math.nan
        return number if math.isfinite(number) else None
