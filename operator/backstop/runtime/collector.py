"""The garbage collector, set for a process that keeps much and makes much.

Monitors, their specs and answers are many objects that live long, while each round makes many that
soon go. The collector as Python sets it up walks through all of them again and again.
"""

import gc
from typing import Final

YOUNG: Final = 200_000
"""So many new objects are made before the collector looks for cycles among them.

Most objects are freed at once without it. A round of 10,000 monitors makes about as many objects;
those that are in cycles wait for some rounds.
"""


def settle() -> None:
    """Leave aside for good what start-up has made, and look at new objects less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
