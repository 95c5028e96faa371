"""What Python's garbage collector has to look at while a run trains. Standard library only."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def few_full_collections() -> Iterator[None]:
    """While inside, what is alive now is left out of garbage collections.

    Beside torch a full one looks at some 400,000 objects and takes 0.2 s, between any two steps.
    """
    # What the preparation left in cycles goes now, or not before the end.
    gc.collect(1)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
