"""The monitor that the doctor tries is one that this Backstop would accept."""

from backstop.api.problems import find_problems
from backstop.runtime.doctor import _TRIAL


def test_the_trial_is_valid():
    """Else every installation would look broken."""
    assert not find_problems(_TRIAL)
