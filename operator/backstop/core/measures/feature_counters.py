"""What data quality reads of features, and what it holds that against, as written in a spec."""

from collections.abc import Mapping
from typing import Self

from backstop.core.cel import Part, cel
from backstop.core.measurement import Selector
from backstop.core.measures.distributions import FeatureNames
from backstop.core.measures.measure import summed_increase
from backstop.core.presets.preset import Preset, PresetError, demand
from backstop.core.units import Decimal, DnsName, Duration, LabelName, Percent


@cel(
    "!(has(self.buckets) && has(self.native))",
    "write buckets for classic histograms or native for native ones, not both",
    lambda self: self.buckets is None or self.native is None,
)
class FeatureCounters(Part):
    """What is exported of features. A preset knows it: write all of these, or none."""

    buckets: Selector | None = None
    """Selector of the bucket counters of classic histograms of values, for example
    `model_feature_value_bucket`."""

    native: Selector | None = None
    """Selector of native histograms of values, in place of `buckets`."""

    missing: Selector | None = None
    """Selector of the counter of missing values, for example `model_feature_missing_total`."""

    invalid: Selector | None = None
    """Selector of the counter of invalid values, for example `model_feature_invalid_total`."""

    label: LabelName = "feature"
    """The label that holds the name of the feature."""

    only: FeatureNames | None = None
    """The features that are checked; all of them unless written."""

    def resolved(self, preset: Preset | None) -> Self:
        """Return this with the preset's selectors where the spec writes none.

        Raises:
            PresetError: the preset has none, or there is no preset.
        """
        if self.buckets is not None or self.native is not None:
            return self
        if self.missing is not None or self.invalid is not None:
            raise PresetError("features needs buckets or native beside missing and invalid")
        known = demand(preset, "features", lambda known: known.features)
        names = ("buckets", "missing", "invalid", "label")
        return self.model_copy(update={name: getattr(known, name) for name in names})

    def asks(
        self, labels: Mapping[str, str], window: str, modifier: str = "", *, whole: bool = False
    ) -> dict[str, str]:
        """Return PromQL by role: how many values there are, or all their buckets (``whole``)."""
        found: dict[str, str] = {}
        if self.native is not None:
            values = summed_increase(self.native, labels, window, modifier, self.label)
            found["values"] = values if whole else f"histogram_count({values})"
        else:
            by = f"{self.label}, le" if whole else self.label
            chosen = labels if whole else {**labels, "le": "+Inf"}
            found["values"] = summed_increase(self.buckets or "", chosen, window, modifier, by)
        for role, selector in (("missing", self.missing), ("invalid", self.invalid)):
            if selector is not None:
                found[role] = summed_increase(selector, labels, window, modifier, self.label)
        return found

    def keeps(self, name: str) -> bool:
        """Return whether the feature ``name`` is checked."""
        return self.only is None or name in self.only


@cel(
    "(has(self.configMap) ? 1 : 0) + (has(self.past) ? 1 : 0) == 1",
    "a reference needs exactly one of configMap, past",
    lambda self: (self.config_map is None) != (self.past is None),
)
class QualityReference(Part):
    """What is usual."""

    config_map: DnsName | None = None
    """Name of a ConfigMap in the monitor's namespace with the training data, as `backstop reference
    build` writes it."""

    past: Duration | None = None
    """How long ago the window is that tells what is usual, for example `7d`."""


@cel(
    "!has(self.min) || !has(self.max) || double(self.min) < double(self.max)",
    "min of outOfRange must be below its max",
    lambda self: self.min is None or self.max is None or float(self.min) < float(self.max),
)
@cel(
    "has(self.min) || has(self.max)",
    "outOfRange needs min, max or both",
    lambda self: self.min is not None or self.max is not None,
)
class OutOfRange(Part):
    """Values that cannot be, by the edges of the buckets."""

    min: Decimal | None = None
    """The smallest possible value. Only what is in buckets that end below it counts."""

    max: Decimal | None = None
    """The largest possible value. Only what is in buckets that begin there or above counts."""

    share: Percent = "0%"
    """Which share of values may be out of range."""


class Sentinel(Part):
    """A value that stands for "unknown", such as `"-1"` or `"9999"`."""

    value: Decimal
    """The value."""

    share: Percent = "1%"
    """By how much the share of its bucket may be above what it is in the reference."""
