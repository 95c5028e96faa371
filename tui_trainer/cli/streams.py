"""stdin, stdout and stderr as they may be: closed, full, gone. None of that is a reason not to train."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tui_trainer.headless.sink import point_at_nothing
from tui_trainer.headless.words import clean


def fill_closed_streams() -> None:
    """Let standard descriptors that are closed lead to nothing.

    Otherwise the next file that is opened, maybe the record, takes their place, and whatever native code
    prints lands in it.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            # The lowest free one is taken, which is this.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(fd, True)
        if getattr(sys, name) is None:
            stream = open(fd, "w" if fd else "r", closefd=False)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def say(text: str) -> None:
    """Tell something on stderr, if anybody can hear it.

    Also inside a signal handler, maybe in the middle of another print. Nothing that it quotes of a stranger's
    files can move the cursor or set a colour.
    """
    try:
        print(clean(text), file=sys.stderr, flush=True)
    except (RuntimeError, ValueError):
        pass
    except OSError:
        # What waits in the stream's buffer is tried again at exit, and would change the exit code.
        with suppress(OSError):
            point_at_nothing(2)


@contextmanager
def warnings_as_notes(tell: Callable[[str], None] = say) -> Iterator[None]:
    """Tell what is warned of as a sentence on stderr, without the line of code that it comes from."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest, **options: tell(f"note: {message}")
        yield
