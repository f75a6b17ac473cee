"""Whose distribution is compared: features, scores, predictions or categories.

Each knows what to ask of a metrics source, how to read the answer, and where a reference has the
same. The source sums over pods, as drift is a matter of hours and needs no raw samples.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, StringConstraints

from backstop.core.cel import Part, cel
from backstop.core.measurement import Pillar, Selector
from backstop.core.measures.features import (
    Found,
    Side,
    only,
    read_categories,
    read_histograms,
)
from backstop.core.measures.measure import summed_increase
from backstop.core.presets.preset import Preset, demand
from backstop.core.reference import Reference
from backstop.core.samples import Series
from backstop.core.units import LabelName

FeatureName = Annotated[str, StringConstraints(min_length=1, max_length=253)]
"""The name of a feature, as the label has it."""

FeatureNames = Annotated[list[FeatureName], Field(min_length=1, max_length=64)]
"""Some features of many."""


class Watched(Part):
    """What a distribution is of."""

    NOUN: ClassVar[str]
    """What it is called where it is only one."""

    MANY: ClassVar[bool] = False
    """Whether it is of many features, each with a name."""

    ORDERED: ClassVar[bool] = True
    """Whether its values are numbers, not categories."""

    PILLAR: ClassVar[Pillar] = Pillar.DATA

    def resolved(self, _preset: Preset | None) -> Self:
        """Return this with what the spec leaves to the preset.

        Raises:
            PresetError: the preset has no such number, or there is no preset.
        """
        return self

    @abstractmethod
    def asks(self, labels: Mapping[str, str], window: str, modifier: str = "") -> str:
        """Return PromQL for what was counted in ``window``, before which ``modifier`` may go back.

        Raises:
            PromqlError: a selector cannot be used.
        """

    @abstractmethod
    def read(self, answer: Sequence[Series]) -> Found:
        """Return what the answer tells."""

    @abstractmethod
    def within(self, reference: Reference) -> Mapping[str, Side]:
        """Return what ``reference`` has of it."""


_ONE_HISTOGRAM = cel(
    "!(has(self.buckets) && has(self.native))",
    "write buckets for a classic histogram or native for a native one, not both",
    lambda self: self.buckets is None or self.native is None,
)


@_ONE_HISTOGRAM
class FeatureHistograms(Watched):
    """Histograms of features, told apart by a label."""

    NOUN: ClassVar[str] = "features"
    MANY: ClassVar[bool] = True

    buckets: Selector | None = None
    """Selector of the bucket counters of classic histograms, for example
    `model_feature_value_bucket`. A preset knows them."""

    native: Selector | None = None
    """Selector of native histograms, in place of `buckets`."""

    label: LabelName = "feature"
    """The label that holds the name of the feature."""

    only: FeatureNames | None = None
    """The features that count; all of them unless written."""

    def resolved(self, preset: Preset | None) -> Self:
        """Return this with the preset's selector and label; see :meth:`Watched.resolved`."""
        if self.buckets is not None or self.native is not None:
            return self
        known = demand(preset, "features", lambda known: known.features)
        return self.model_copy(update={"buckets": known.buckets, "label": known.label})

    def asks(self, labels: Mapping[str, str], window: str, modifier: str = "") -> str:
        """Return the increases of all buckets of each feature; see :meth:`Watched.asks`."""
        if self.native is not None:
            return summed_increase(self.native, labels, window, modifier, self.label)
        by = f"{self.label}, le"
        return summed_increase(self.buckets or "", labels, window, modifier, by)

    def read(self, answer: Sequence[Series]) -> Found:
        """Return a histogram of each feature; see :meth:`Watched.read`."""
        return only(read_histograms(answer, self.label, self.NOUN), self.only)

    def within(self, reference: Reference) -> Mapping[str, Side]:
        """Return the reference's histograms; see :meth:`Watched.within`."""
        return reference.features


@_ONE_HISTOGRAM
class ScoreHistogram(Watched):
    """The histogram of the scores that the model gives."""

    NOUN: ClassVar[str] = "scores"
    PILLAR: ClassVar[Pillar] = Pillar.MODEL

    buckets: Selector | None = None
    """Selector of the bucket counters of a classic histogram, for example
    `model_prediction_score_bucket`. A preset knows them."""

    native: Selector | None = None
    """Selector of a native histogram, in place of `buckets`."""

    def resolved(self, preset: Preset | None) -> Self:
        """Return this with the preset's selector; see :meth:`Watched.resolved`."""
        if self.buckets is not None or self.native is not None:
            return self
        known = demand(preset, "scores", lambda known: known.scores)
        return self.model_copy(update={"buckets": known.selector})

    def asks(self, labels: Mapping[str, str], window: str, modifier: str = "") -> str:
        """Return the increases of all buckets; see :meth:`Watched.asks`."""
        if self.native is not None:
            return summed_increase(self.native, labels, window, modifier)
        return summed_increase(self.buckets or "", labels, window, modifier, "le")

    def read(self, answer: Sequence[Series]) -> Found:
        """Return the histogram; see :meth:`Watched.read`."""
        return read_histograms(answer, "", self.NOUN)

    def within(self, reference: Reference) -> Mapping[str, Side]:
        """Return the reference's scores; see :meth:`Watched.within`."""
        return {} if reference.scores is None else {self.NOUN: reference.scores}


class PredictionCounter(Watched):
    """The classes that the model answers."""

    NOUN: ClassVar[str] = "predictions"
    PILLAR: ClassVar[Pillar] = Pillar.MODEL
    ORDERED: ClassVar[bool] = False

    counter: Selector | None = None
    """Selector of the counter of predictions, for example `model_prediction_total`. A preset knows
    it, and its label."""

    label: LabelName = "class"
    """The label that holds the class."""

    def resolved(self, preset: Preset | None) -> Self:
        """Return this with the preset's selector and label; see :meth:`Watched.resolved`."""
        if self.counter is not None:
            return self
        known = demand(preset, "predictions", lambda known: known.predictions)
        return self.model_copy(update={"counter": known.counter, "label": known.label})

    def asks(self, labels: Mapping[str, str], window: str, modifier: str = "") -> str:
        """Return the increase of each class; see :meth:`Watched.asks`."""
        return summed_increase(self.counter or "", labels, window, modifier, self.label)

    def read(self, answer: Sequence[Series]) -> Found:
        """Return how often each class was answered; see :meth:`Watched.read`."""
        return read_categories(answer, "", self.label, self.NOUN)

    def within(self, reference: Reference) -> Mapping[str, Side]:
        """Return the reference's classes; see :meth:`Watched.within`."""
        return {} if reference.predictions is None else {self.NOUN: reference.predictions}


class FeatureCategories(Watched):
    """Features that are categories, from a counter with the category in a label."""

    NOUN: ClassVar[str] = "features"
    MANY: ClassVar[bool] = True
    ORDERED: ClassVar[bool] = False

    counter: Selector
    """Selector of the counter of values, for example `model_feature_category_total`."""

    feature_label: LabelName = "feature"
    """The label that holds the name of the feature."""

    label: LabelName = "category"
    """The label that holds the category."""

    only: FeatureNames | None = None
    """The features that count; all of them unless written."""

    def asks(self, labels: Mapping[str, str], window: str, modifier: str = "") -> str:
        """Return the increase of each category; see :meth:`Watched.asks`."""
        by = f"{self.feature_label}, {self.label}"
        return summed_increase(self.counter, labels, window, modifier, by)

    def read(self, answer: Sequence[Series]) -> Found:
        """Return the categories of each feature; see :meth:`Watched.read`."""
        found = read_categories(answer, self.feature_label, self.label, self.NOUN)
        return only(found, self.only)

    def within(self, reference: Reference) -> Mapping[str, Side]:
        """Return the reference's categories; see :meth:`Watched.within`."""
        return reference.categories
