"""Which share of a monitor's traffic each of its Services gets, as it is shown to people."""

from backstop.core.facts import RuleWeights
from backstop.core.weights import Services, shares

ALL = Services("model", "next", "simple")


def test_shares_are_of_the_traffic_of_ours():
    """Other backends of the rule do not count, and Services that it does not list get nothing."""
    rules = (RuleWeights(0, {"model": 60, "next": 20, "foreign": 900}),)
    assert shares(rules, ALL) == {"model": 0.75, "next": 0.25, "simple": 0.0}


def test_several_rules_are_averaged_and_idle_ones_left_out():
    """Nobody knows which rule gets how many requests; one without any traffic says nothing."""
    rules = (
        RuleWeights(0, {"model": 1}),
        RuleWeights(1, {"simple": 1}),
        RuleWeights(2, {"model": 0, "simple": 0}),
    )
    assert shares(rules, Services("model", None, "simple")) == {"model": 0.5, "simple": 0.5}


def test_nothing_is_said_of_unknown_rules():
    """A share of 0 would be a claim."""
    assert shares((), ALL) == {}
    assert shares((RuleWeights(0, {"model": 0}),), ALL) == {}
