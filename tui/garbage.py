"""When does Python look for garbage? Not while the explorer starts: what 650 modules bring with them stays.

Each look goes through all that is there, and imports alone cause a dozen: a fifth of the time until the first rows.
What is there once the explorer stands is set aside, so that later looks, between two keys, are short.
"""

from __future__ import annotations

import gc

STANDS = 1.0  # seconds after which the explorer has read and drawn what it begins with


def keep_everything() -> None:
    """Until `look_at_what_comes`, nothing is looked through."""
    gc.disable()


def look_at_what_comes() -> None:
    """Collect garbage again, but among what is made from now on."""
    gc.freeze()
    gc.enable()
