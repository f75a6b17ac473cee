"""Weights per phase: always somebody answers, and nobody else's weights are touched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.build import CANDIDATE, route, spec, status

from backstop.core import weights
from backstop.core.facts import RuleWeights
from backstop.core.view import services
from backstop.core.weights import Services

ALL = Services(target="t", candidate="c", fallback="f")

_services = st.builds(
    Services, target=st.just("t"), candidate=st.none() | st.just("c"), fallback=st.just("f")
)
_weight = st.integers(0, 1000)


@st.composite
def _rules(draw: st.DrawFn, ours: Services) -> tuple[RuleWeights, ...]:
    names = sorted({*ours.named, "other"})
    found = draw(st.lists(st.fixed_dictionaries(dict.fromkeys(names, _weight)), max_size=4))
    return tuple(RuleWeights(place * 2, rule) for place, rule in enumerate(found))


_routes = _services.flatmap(lambda ours: st.tuples(st.just(ours), _rules(ours)))


@given(_routes, st.integers(1, 50), st.booleans())
def test_somebody_always_answers(made, percent: int, aborted: bool):  # noqa: FBT001
    """In each phase and for all weights before it: each rule's weights sum to more than zero."""
    ours, rules = made
    before = list(weights.current(rules, ours).values())
    asked = [
        weights.open_circuit(rules, ours),
        weights.probe(rules, ours, percent),
        weights.close_circuit(rules, ours, before, without_candidate=aborted),
        weights.close_circuit(rules, ours, [], without_candidate=aborted),
    ]
    if ours.candidate:
        asked.append(weights.start_trial(rules, ours, percent))
    for one in asked:
        assert set(one) == {rule.index for rule in rules}
        assert all(sum(rule.values()) > 0 for rule in one.values())
        assert all(set(rule) == ours.named for rule in one.values())


@given(_routes)
def test_closing_restores_what_was_before(made):
    """Rule by rule, unless nobody answered before: then the target does."""
    ours, rules = made
    before = weights.current(rules, ours)
    closed = weights.close_circuit(rules, ours, list(before.values()), without_candidate=False)
    for index, rule in before.items():
        alone = {name: 100 if name == "t" else 0 for name in ours.named}
        assert closed[index] == (rule if sum(rule.values()) else alone)


@given(_routes)
def test_ending_a_trial_moves_the_candidates_traffic_to_the_target(made):
    """Nothing is lost and the fallback keeps what it had."""
    ours, rules = made
    ended = weights.end_trial(rules, ours)
    for index, rule in weights.current(rules, ours).items():
        assert sum(ended[index].values()) == sum(rule.values())
        assert ended[index]["f"] == rule["f"]
        assert ended[index].get("c", 0) == 0


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (weights.open_circuit((RuleWeights(3, {}),), ALL), {"t": 0, "c": 0, "f": 100}),
        (weights.probe((RuleWeights(3, {}),), ALL, 5), {"t": 5, "c": 0, "f": 95}),
        (weights.start_trial((RuleWeights(3, {}),), ALL, 5), {"t": 95, "c": 5, "f": 0}),
        (
            weights.close_circuit(
                (RuleWeights(3, {}),), ALL, [{"t": 90, "c": 10, "f": 0}], without_candidate=True
            ),
            {"t": 100, "c": 0, "f": 0},
        ),
        # Saved for other Services than the spec names now: they say nothing.
        (
            weights.close_circuit(
                (RuleWeights(3, {}),), ALL, [{"t": 9, "f": 1}], without_candidate=False
            ),
            {"t": 100, "c": 0, "f": 0},
        ),
    ],
)
def test_the_weights_of_each_phase(asked, expected):
    """By the index of the rule."""
    assert asked == {3: expected}


@given(_routes)
def test_weights_survive_being_written_down(made):
    """What an action keeps is what it asked for, and equal weights have equal texts."""
    ours, rules = made
    asked = weights.current(rules, ours)
    text = weights.to_text(asked)
    assert weights.from_text(text) == asked
    assert weights.to_text(dict(reversed(asked.items()))) == text


def test_sixteen_rules_of_long_names_fit_into_an_action():
    """A circuit opens on the largest route too: equal rules are written once."""
    ours = Services(target="t" * 63, candidate="c" * 63, fallback="f" * 63)
    rules = tuple(RuleWeights(index, {}) for index in range(16))
    text = weights.to_text(weights.open_circuit(rules, ours))
    assert len(text) <= 512
    assert weights.to_text({0: {"a": 1}, 1: {"a": 1}, 2: {"a": 2}}) == (
        '{"0,1": {"a": 1}, "2": {"a": 2}}'
    )


def test_without_a_candidate_there_is_no_trial_to_end():
    """The weights stay as they are."""
    ours = Services(target="t", candidate=None, fallback="f")
    rules = (RuleWeights(0, {"t": 70, "f": 30}),)
    assert weights.end_trial(rules, ours) == {0: {"t": 70, "f": 30}}


# Which Services


@pytest.mark.parametrize(
    ("changes", "restore", "expected"),
    [
        ({}, None, Services("fraud", None, "simple")),
        ({"candidate": CANDIDATE}, None, Services("fraud", "fraud-next", "simple")),
        (
            {"fallback": {"defaultPrediction": {}}},
            None,
            Services("fraud", None, "fraud-default-prediction"),
        ),
        ({"fallback": None}, None, Services("fraud", None, None)),
        ({"fallback": None, "traffic": None}, None, None),
        # Taken out of the spec while it answers: still named, so that it can be relieved.
        ({"fallback": None}, {"fraud": 100, "simple": 0}, Services("fraud", None, "simple")),
        (
            {"fallback": None, "candidate": CANDIDATE},
            {"fraud": 90, "fraud-next": 10, "simple": 0},
            Services("fraud", "fraud-next", "simple"),
        ),
        ({"fallback": None}, {"fraud": 100}, Services("fraud", None, None)),
        # Exchanged while it answers: the one that has the traffic is relieved first.
        (
            {"fallback": {"service": "other"}},
            {"fraud": 100, "simple": 0},
            Services("fraud", None, "simple"),
        ),
        # The candidate was taken out as well: what had traffic before was no fallback.
        (
            {"fallback": None},
            {"fraud": 95, "fraud-next": 5, "simple": 0},
            Services("fraud", None, "simple"),
        ),
        (
            {"fallback": {"service": "other"}},
            {"fraud": 100},
            Services("fraud", None, "other"),
        ),
    ],
)
def test_the_services_are_those_that_the_spec_names(changes, restore, expected):
    """And a fallback that still answers for a spec that no longer names it."""
    known = status(circuit={"restore": [restore]} if restore else {})
    assert services("fraud", spec(**changes), known) == expected


@pytest.mark.parametrize(
    ("rules", "share"),
    [
        ([{"fraud": 90, "next": 10, "simple": 0}], 0.1),
        ([{"fraud": 0, "next": 10, "simple": 90}], 1.0),
        ([{"fraud": 0, "next": 0, "simple": 100}], 0.0),
        ([{"fraud": 90, "next": 10}, {"fraud": 45, "next": 5}], 0.1),
        ([{"fraud": 90, "next": 10}, {"fraud": 50, "next": 50}], 0.0),
        ([], 0.0),
    ],
)
def test_the_candidate_share_is_that_of_both_versions(rules, share):
    """What goes to the fallback does not count; rules that differ have no one share."""
    found = route(*rules).rules
    assert weights.candidate_share(found, Services("fraud", "next", "simple")) == share
    assert weights.candidate_share(found, Services("fraud", None, "simple")) == 0.0


@pytest.mark.parametrize(
    ("rules", "percent"),
    [
        ([{"fraud": 50, "next": 50}], 50),
        ([{"fraud": 500, "next": 500}], 50),
        ([{"fraud": 3, "next": 1}], 25),
        ([{"fraud": 0, "next": 1}], 100),
        ([{"fraud": 999, "next": 1}], 1),
        ([{"fraud": 100, "next": 0}], 0),
        ([{"fraud": 90, "next": 10}, {"fraud": 1, "next": 1}], 50),
        ([{"fraud": 0, "next": 0}], 0),
        ([{"fraud": 1}], 0),
        ([], 0),
    ],
)
def test_weights_are_told_in_percent(rules, percent):
    """Of pods, of a thousand, of all or nothing: the largest of the rules, never 0 for a little."""
    assert weights.largest_percent(dict(enumerate(rules)), "next") == percent


# Routers that cannot divide traffic at will


@given(
    percent=st.integers(0, 100),
    grain=st.integers(0, 40),
    kind=st.sampled_from(["probe", "trial"]),
)
def test_a_share_is_the_nearest_that_the_router_can_give(percent: int, grain: int, kind: str):
    """Weights sum to the parts of the router, and a share above 0 gets at least one of them."""
    services = Services("fraud", "next", "simple")
    rules = (RuleWeights(0, {"fraud": 1, "next": 0, "simple": 0}),)
    split = weights.probe if kind == "probe" else weights.start_trial
    given_to = "fraud" if kind == "probe" else "next"
    found = split(rules, services, percent, grain)[0]
    total = grain or 100
    assert sum(found.values()) == total
    assert (found[given_to] > 0) == (percent > 0)
    assert total == 1 or (found[given_to] < total) == (percent < 100)
    nearest = abs(found[given_to] - total * percent / 100) <= 0.5
    assert nearest or found[given_to] in {1, total - 1}


def test_a_router_that_can_only_switch_gives_all_or_nothing():
    """A probe then takes all of the traffic."""
    services = Services("fraud", None, "simple")
    rules = (RuleWeights(0, {"fraud": 1, "simple": 0}),)
    assert weights.open_circuit(rules, services, 1) == {0: {"fraud": 0, "simple": 1}}
    assert weights.probe(rules, services, 5, 1) == {0: {"fraud": 1, "simple": 0}}
    closed = weights.close_circuit(rules, services, [], without_candidate=False, grain=1)
    assert closed == {0: {"fraud": 1, "simple": 0}}


@pytest.mark.parametrize(("percent", "pods"), [(90, 3), (99, 3), (100, 4)])
def test_the_target_keeps_a_part_until_the_candidate_has_all(percent, pods):
    """Of four pods 90 % would be four: the candidate could be compared with nothing."""
    rules, ours = (RuleWeights(0, {"fraud": 4, "next": 0}),), Services("fraud", "next", None)
    asked = weights.start_trial(rules, ours, percent, 4)
    assert asked == {0: {"fraud": 4 - pods, "next": pods}}


@pytest.mark.parametrize(
    ("saved", "grain", "expected"),
    [
        ({"t": 900, "f": 100}, 1000, {"t": 900, "f": 100}),
        ({"t": 900, "f": 100}, 100, {"t": 100, "f": 0}),
        ({"t": 90, "f": 10}, 1, {"t": 1, "f": 0}),
        ({"t": 0, "f": 1}, 1, {"t": 0, "f": 1}),
        ({"t": 900, "f": 100}, 0, {"t": 900, "f": 100}),
    ],
)
def test_weights_of_another_router_are_not_restored(saved, grain, expected):
    """Its parts are not those of this one: 100 of 1000 is a tenth, 100 of 100 is all."""
    rules, ours = (RuleWeights(0, {"t": 0, "f": 1}),), Services("t", None, "f")
    asked = weights.close_circuit(rules, ours, [saved], without_candidate=False, grain=grain)
    assert asked == {0: expected}


# A write of several requests

BEFORE, AFTER = {0: {"fraud": 3, "next": 1}}, {0: {"fraud": 1, "next": 3}}


@pytest.mark.parametrize(
    ("live", "between"),
    [
        (BEFORE, True),
        (AFTER, True),
        ({0: {"fraud": 3, "next": 3}}, True),
        ({0: {"fraud": 3, "next": 2}}, False),
        ({0: {"fraud": 3, "other": 1}}, False),
        ({}, False),
        ({1: {"fraud": 3, "next": 1}}, False),
    ],
)
def test_a_half_done_write_is_told_from_what_someone_else_wrote(live, between):
    """Each weight is then that of before or of after."""
    assert weights.is_between(live, BEFORE, AFTER) is between


@pytest.mark.parametrize(
    ("live", "done"),
    [
        (AFTER, True),
        ({0: {"fraud": 1, "next": 3, "new": 0}}, True),
        (BEFORE, False),
        ({0: {"fraud": 1}}, False),
        ({}, False),
        ({**AFTER, 1: {"fraud": 1, "next": 3}}, False),
    ],
)
def test_a_write_that_was_done_is_told_although_the_spec_names_more_since(live, done):
    """Each weight that it was to set is so."""
    assert weights.is_set(live, AFTER) is done


@pytest.mark.parametrize(
    ("name", "kept", "found"),
    [
        ("next", True, {"fraud": 100, "next": 0, "simple": 0}),
        ("next", False, {"fraud": 100, "simple": 0}),
        ("other", False, {"fraud": 75, "next": 25, "simple": 0}),
    ],
)
def test_what_one_had_is_given_to_the_target(name, kept, found):
    """Where it is among them at all."""
    before = {"fraud": 75, "next": 25, "simple": 0}
    assert weights.given(before, name, "fraud", kept=kept) == found


# Rules that others get traffic by, too

SHARED = Services("fraud", "next", "simple")


def _rule(fraud: int, legacy: int) -> tuple[RuleWeights, ...]:
    return (RuleWeights(0, {"fraud": fraud, "next": 0, "simple": 0, "legacy": legacy}),)


@pytest.mark.parametrize(("fraud", "legacy"), [(900, 100), (90, 10), (9, 1), (1, 1)])
def test_an_open_circuit_leaves_others_their_share(fraud: int, legacy: int):
    """Who is behind another Service of the rule gets neither more nor less traffic."""
    rules = _rule(fraud, legacy)
    opened = weights.open_circuit(rules, SHARED)
    assert opened == {0: {"fraud": 0, "next": 0, "simple": fraud}}
    closed = weights.close_circuit(rules, SHARED, [], without_candidate=False)
    assert closed == {0: {"fraud": fraud, "next": 0, "simple": 0}}


@pytest.mark.parametrize(
    ("fraud", "percent", "expected"),
    [
        (900, 1, {"fraud": 891, "next": 9, "simple": 0}),
        (67, 1, {"fraud": 66, "next": 1, "simple": 0}),
        (66, 1, {"fraud": 99, "next": 1, "simple": 0}),
        (1, 5, {"fraud": 95, "next": 5, "simple": 0}),
        (9, 50, {"fraud": 5, "next": 4, "simple": 0}),
    ],
)
def test_a_share_is_never_far_larger_than_asked_for(fraud, percent, expected):
    """One per cent of 66 parts would be more than one and a half: then they are 100."""
    assert weights.start_trial(_rule(fraud, 10), SHARED, percent) == {0: expected}


def test_a_probe_of_few_parts_stays_a_probe():
    """All weights are 1 where none is written; one part would be all of the users."""
    assert weights.probe(_rule(1, 1), SHARED, 5) == {0: {"fraud": 5, "next": 0, "simple": 95}}


def test_nobody_elses_traffic_is_counted_as_ours():
    """A rule whose other Services get nothing is ours alone."""
    assert weights.open_circuit(_rule(9, 0), SHARED) == {0: {"fraud": 0, "next": 0, "simple": 100}}
