"""The collector is set for much that lives long and much that soon goes."""

import gc

from backstop.runtime import collector


def test_start_up_is_left_aside_and_new_objects_are_looked_at_less_often():
    """What exists is frozen, and the threshold is that of a round of many monitors."""
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    try:
        collector.settle()
        assert gc.get_freeze_count() > frozen
        assert gc.get_threshold()[0] == collector.YOUNG
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
