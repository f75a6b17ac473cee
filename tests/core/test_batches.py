"""All monitors are judged in one pass, and each as if it were alone."""

from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import T0, series, spec

from backstop.api.words import Arm, Verdict
from backstop.core.inquiry import inquiries
from backstop.core.judging import look, look_all
from backstop.core.samples import Reading, Series
from backstop.core.verdicts import History, Look, Sight

NOW = T0 + 3
CANDIDATE = {"name": "next", "service": "next", "metricLabels": {"app": "next"}}
SIGNALS: dict[str, dict[str, Any]] = {
    "errors": {"errors": {}, "max": "5%"},
    "slow": {"latency": {"above": "250ms"}, "max": "5%"},
    "p90": {"latencyQuantile": {"quantile": "p90"}, "max": "250ms"},
    "mean-time": {"latencyMean": {}, "max": "250ms"},
    "orders": {"success": {"attempts": "visits", "successes": "orders"}, "min": "10%"},
    "missing": {"ratio": {"part": "nulls", "whole": "values"}, "max": "5%"},
    "score": {"mean": {"total": "score_sum", "count": "score_count"}, "max": "0.5"},
    "approvals": {"rate": {"counter": "approvals"}, "min": "5"},
    "drift": {"promql": {"expr": "drift"}, "max": "1"},
    "free": {"promql": {"expr": "max(drift)"}, "max": "1"},
}

_histories = st.builds(
    History,
    outcomes=st.lists(st.booleans(), max_size=3).map(tuple),
    newest=st.sampled_from([0.0, T0 + 1, T0 + 2, T0 + 9]),
    clean_at=st.sampled_from([None, T0]),
    broken_at=st.sampled_from([None, T0 + 1]),
    verdict=st.sampled_from(Verdict),
)
_values = st.lists(st.sampled_from([0.0, 1.0, 7.0, 100.0, float("nan")]), max_size=4)


@st.composite
def _series(draw: st.DrawFn) -> Series:
    labels = {
        "pod": draw(st.sampled_from("ab")),
        "le": draw(st.sampled_from(["0.25", "1", "+Inf"])),
    }
    return series(draw(_values), start=draw(st.sampled_from([T0, T0 + 1, T0 + 20])), **labels)


_readings = st.one_of(
    st.builds(Reading, series=st.lists(_series(), max_size=4).map(tuple)),
    st.builds(
        Reading, series=st.just(tuple(series([0, 10, 100], le=le) for le in ("0.25", "+Inf")))
    ),
    st.just(Reading(failure="connection refused")),
    st.just(Reading(failure="parse error", bad_query=True)),
    st.none(),
)


class Batch(NamedTuple):
    """Some monitors, and what the source answered to all of them; some answers are missing."""

    sights: list[Sight]
    readings: dict[str, Reading]


@st.composite
def _sights(draw: st.DrawFn, number: int) -> Sight:
    chosen = draw(st.lists(st.sampled_from(sorted(SIGNALS)), min_size=1, unique=True, max_size=4))
    signals = [
        {
            "name": name,
            "pillar": "model",
            "window": "10s",
            "minSamples": 0,
            "threshold": SIGNALS[name],
        }
        for name in chosen
    ]
    # Every other monitor asks what another one asks as well.
    target = {"name": "fraud", "service": "fraud", "metricLabels": {"app": f"m{number // 2}"}}
    candidate = draw(st.sampled_from([None, CANDIDATE]))
    asked = inquiries(
        spec(preset="backstop", signals=signals, target=target, candidate=candidate), "demo"
    )
    known = draw(st.dictionaries(st.sampled_from(list(asked)), _histories))
    cuts = st.sampled_from([0.0, T0 + 1, T0 + 2.5, T0 + 60])
    return Sight(asked, known, {arm: draw(cuts) for arm in Arm})


@st.composite
def _batches(draw: st.DrawFn) -> Batch:
    sights = [draw(_sights(number)) for number in range(draw(st.integers(0, 5)))]
    asked = {
        question.promql
        for sight in sights
        for inquiry in sight.inquiries.values()
        for question in inquiry.questions.values()
    }
    answers = {promql: draw(_readings) for promql in sorted(asked)}
    return Batch(sights, {promql: one for promql, one in answers.items() if one is not None})


@given(_batches())
def test_a_batch_is_judged_as_each_monitor_is_alone(batch: Batch):
    """Whatever the others ask, remember, or get no answer to: no verdict and no history changes."""
    together = look_all(batch.sights, batch.readings, now=NOW)
    alone = [
        look(
            sight.inquiries,
            batch.readings,
            sight.histories,
            evidence_from=sight.evidence_from,
            now=NOW,
        )
        for sight in batch.sights
    ]
    assert [_shown(one) for one in together] == [_shown(one) for one in alone]


@given(_batches())
def test_an_unknown_look_changes_no_history(batch: Batch):
    """Of whatever batch: what got no verdict is remembered as it was, and the rest is told once."""
    for sight, found in zip(
        batch.sights, look_all(batch.sights, batch.readings, now=NOW), strict=True
    ):
        assert [(one.name, one.arm) for one in found.verdicts] == list(sight.inquiries)
        for one in found.verdicts:
            before = sight.histories.get((one.name, one.arm), History())
            if one.reason not in {"", "WarmingUp"}:
                assert found.histories[one.name, one.arm] == before


def _shown(found: Look) -> tuple[object, ...]:
    verdicts = [(*one[:4], one.why, *one[5:]) for one in found.verdicts]
    return verdicts, dict(found.histories), sorted(found.newest), found.scrape_interval


@given(_batches())
def test_a_look_knows_whether_the_source_has_answered(batch: Batch):
    """One signal of which all questions have an answer is enough."""
    for sight, found in zip(
        batch.sights, look_all(batch.sights, batch.readings, now=NOW), strict=True
    ):
        down = Reading(failure="the question was not asked")
        assert found.answered is any(
            not any(
                batch.readings.get(one.promql, down).failure for one in inquiry.questions.values()
            )
            for inquiry in sight.inquiries.values()
        )


def test_no_monitors_are_no_looks():
    """A pass in which nothing is due judges nothing."""
    assert look_all([], {}, now=NOW) == []
