"""What people write in a spec means exactly one number, and numbers are said as people say them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from backstop.core import units
from backstop.core.units import (
    TimeUnit,
    Unit,
    fraction,
    limit,
    quantile,
    say_seconds,
    say_share,
    seconds,
    unit_of,
)

_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@given(st.integers(1, 9_999_999), st.sampled_from(sorted(_MILLISECONDS)))
def test_a_duration_is_the_nearest_number_of_seconds(amount: int, unit: str):
    """`9ms` equals the 0.009 of a bucket's edge: no rounding on the way, for every duration."""
    assert seconds(f"{amount}{unit}") == float(Fraction(amount * _MILLISECONDS[unit], 1000))


@pytest.mark.parametrize("text", ["", "5", "s", "1.5s", "-1s", "1 s", "1s ", "1s\n", "1w", "1sm"])
def test_what_is_no_duration_is_refused_with_an_example(text: str):
    """Nothing is guessed from a duration without unit, with a sign, a fraction or a space."""
    with pytest.raises(ValueError, match="is not a duration; write for example 30s or 5m"):
        seconds(text)


@given(st.integers(0, 1_000_000))
def test_a_percentage_is_the_nearest_share(parts: int):
    """`0.7%` equals 7 of 1,000 exactly, so that a share at its bound is not above it."""
    text = f"{parts // 10_000}.{parts % 10_000:04d}%" if parts < 1_000_000 else "100%"
    assert fraction(TypeAdapter(units.Percent).validate_python(text)) == parts / 1_000_000


@given(st.integers(0, 99_999))
def test_a_quantile_is_the_nearest_probability(parts: int):
    """`p99.9` is 0.999 and nothing beside it."""
    text = f"p{parts // 1000}.{parts % 1000:03d}"
    assert quantile(TypeAdapter(units.Quantile).validate_python(text)) == parts / 100_000


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (units.Duration, ["500ms", "30s", "14d"], ["0s", "5", "00h", "12345678s", "1s\n"]),
        (units.Percent, ["0%", "5%", "0.25%", "100%"], ["101%", "5", "-1%", "100.1%", "5%\n"]),
        (units.Quantile, ["p50", "p99.9", "p0"], ["99", "p100", "P50", "p99.", "p50\n"]),
        (units.Decimal, ["0.8", "-12", "1e-3"], ["", ".5", "1e", "NaN", "inf", "1\n"]),
        (
            units.Bound,
            ["0%", "100%", "2.5%", "250ms", "14d", "0.8", "-12", "1e-3"],
            ["", "101%", "-5%", "5 %", "0s", "-1s", "1w", ".5", "NaN", "inf", "5%\n"],
        ),
        (units.DnsLabel, ["a", "a-1"], ["", "A", "a.b", "-a", "a-", "a" * 64, "a\n"]),
        (units.DnsName, ["a", "a.b-1"], ["", "A", ".a", "a.", "a" * 254, "a\n"]),
    ],
)
def test_only_what_the_pattern_allows_is_accepted(kind, good, bad):
    """Each scalar type takes what its description shows, and refuses what would be ambiguous."""
    adapter = TypeAdapter(kind)
    for text in good:
        assert adapter.validate_python(text) == text
    for text in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(text)


@pytest.mark.parametrize(
    ("bound", "unit", "value"),
    [
        ("5%", Unit.SHARE, 0.05),
        ("250ms", Unit.SECONDS, 0.25),
        ("5m", Unit.SECONDS, 300.0),
        ("-12", Unit.PLAIN, -12.0),
        ("1e-3", Unit.PLAIN, 0.001),
    ],
)
def test_a_limit_is_read_in_the_unit_that_it_is_written_in(bound, unit, value):
    """A percentage is a share, a duration is in seconds, anything else is the number itself."""
    assert (unit_of(bound), limit(bound)) == (unit, value)


@pytest.mark.parametrize("unit", TimeUnit)
def test_a_time_unit_is_what_it_is_called(unit: TimeUnit):
    """A second is as many of the unit as its name says."""
    assert 1 / unit.seconds == pytest.approx({"s": 1, "ms": 1000, "us": 1_000_000}[unit.value])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0.0, "0 ms"),
        (0.25, "250 ms"),
        (1.0, "1 s"),
        (4.25, "4.2 s"),
        (30.0, "30 s"),
        (119.0, "119 s"),
        (120.0, "2 min"),
        (5430.0, "90.5 min"),
    ],
)
def test_durations_are_said_as_a_person_would(value: float, said: str):
    """Milliseconds below a second, seconds below two minutes, minutes above; no idle zeros."""
    assert say_seconds(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0 %"), (0.05, "5 %"), (0.0123456, "1.23 %"), (0.00004, "0.004 %"), (1.0, "100 %")],
)
def test_shares_are_said_with_three_digits(value: float, said: str):
    """A percentage has as many digits as it needs, and no more than three."""
    assert say_share(value) == said
