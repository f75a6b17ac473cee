"""The kinds of signals: found by being there, each named once, facts as plain values."""

from tests.core.build import route

from backstop.core.facts import ObjectRef
from backstop.core.signals.registry import kinds
from backstop.core.signals.rule import Pillar, Rule


def test_every_kind_is_found_by_its_name():
    """Sorted by name; abstract rules that several kinds share are none."""
    assert list(kinds()) == [
        "errorRatio",
        "latencyQuantile",
        "latencyShare",
        "missingRatio",
        "promql",
    ]
    assert all(issubclass(rule, Rule) and kind == rule.KIND for kind, rule in kinds().items())


def test_a_kind_knows_its_pillar_or_leaves_it_to_the_spec():
    """Missing values are of the data, errors and latency of the system, an expression of any."""
    assert {kind: rule.PILLAR for kind, rule in kinds().items()} == {
        "errorRatio": Pillar.SYSTEM,
        "latencyQuantile": Pillar.SYSTEM,
        "latencyShare": Pillar.SYSTEM,
        "missingRatio": Pillar.DATA,
        "promql": None,
    }


def test_an_object_is_said_by_kind_and_name():
    """As `kubectl` takes it."""
    assert str(ObjectRef("HTTPRoute", "demo", "fraud")) == "HTTPRoute/fraud"


def test_a_route_is_in_effect_when_all_gateways_took_the_newest_generation():
    """A gateway that rejected it, said nothing, or lags behind, does not have it."""
    assert route(accepted=3, generation=3).in_effect
    assert not route(accepted=2, generation=3).in_effect
    assert not route(accepted=None, generation=3).in_effect
