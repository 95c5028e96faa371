"""Processes of `tui-train` that work for the app: nothing they do costs it a frame, or touches its run."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress

from tui_trainer.errors import TrainerError
from tui_trainer.headless.words import clean, plural

MAX_LINE = 1 << 24
MOST_KEPT = 1 << 24
"""Bytes of output that are kept, the last ones."""
LAST_WORDS_S = 0.5
"""Seconds for what a process that has ended left in its pipes."""
_POLL_S = 0.02


async def spawn(words: Sequence[str], stdin: int = DEVNULL) -> Process:
    """Start `tui-train` with some words, in a session of its own so that no key of this terminal reaches it.

    Raises:
        TrainerError: the system can't start it.
    """
    # Without -P the working directory would come before the standard library.
    command = [sys.executable, "-P", "-m", "tui_trainer", *words]
    try:
        return await asyncio.create_subprocess_exec(
            *command, stdin=stdin, stdout=PIPE, stderr=PIPE, start_new_session=True, limit=MAX_LINE
        )
    except OSError as error:
        raise TrainerError("can't start a helper process", str(error)) from error


async def kill(process: Process) -> None:
    """End a process and all that it started in its session."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    # What it started in another session may hold on to its pipes for ever.
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), LAST_WORDS_S)
    process._transport.close()  # type: ignore[attr-defined]


async def output_of(
    words: Sequence[str], timeout: float, hear: Callable[[str], object] = lambda line: None
) -> str:
    """What a command of `tui-train` prints.

    Args:
        words: the command line.
        timeout: seconds it may take.
        hear: is told each line that it says on stderr, when it says it.

    Raises:
        TrainerError: the one that the command reports, or that it takes too long.
    """
    process = await spawn(words)
    assert process.stdout is not None
    assert process.stderr is not None
    out, err = bytearray(), bytearray()
    reading = asyncio.gather(_read_into(out, process.stdout), _hear_into(err, process.stderr, hear))
    try:
        await asyncio.wait_for(_ended(process), timeout)
        # What the command left running may hold on to its pipes for ever.
        with suppress(TimeoutError):
            await asyncio.wait_for(reading, LAST_WORDS_S)
    except TimeoutError:
        raise TrainerError(
            "no answer", f"tui-train {words[0]} … took more than {plural(round(timeout), 'second')}"
        ) from None
    finally:
        reading.cancel()
        await kill(process)
        # Whatever it ended with is looked at, or asyncio prints it when the app has left.
        await asyncio.gather(reading, return_exceptions=True)
    if process.returncode:
        raise reported(err.decode(errors="replace"), process.returncode)
    return out.decode(errors="replace")


async def _ended(process: Process) -> None:
    # `Process.wait` also waits for its pipes to be closed.
    while process.returncode is None:
        await asyncio.sleep(_POLL_S)


async def _read_into(buffer: bytearray, stream: asyncio.StreamReader) -> None:
    while chunk := await stream.read(1 << 16):
        buffer += chunk
        if len(buffer) > 2 * MOST_KEPT:
            del buffer[:-MOST_KEPT]


async def _hear_into(buffer: bytearray, stream: asyncio.StreamReader, hear: Callable[[str], object]) -> None:
    heard = 0
    while chunk := await stream.read(1 << 16):
        buffer += chunk
        while (end := buffer.find(b"\n", heard)) >= 0:
            hear(clean(buffer[heard:end].decode(errors="replace")))
            heard = end + 1


def reported(stderr: str, code: int) -> TrainerError:
    """The error that stderr tells as `error: TITLE: MESSAGE` and `hint: …`; else its last lines."""
    lines = clean(stderr).strip().splitlines()
    begin = next((k for k, line in reversed([*enumerate(lines)]) if line.startswith("error: ")), None)
    if begin is None:
        return TrainerError("a helper process ended", "\n".join([how_it_ended(code), *lines[-8:]]))
    end = next((k for k in range(begin, len(lines)) if lines[k].startswith("hint: ")), len(lines))
    title, _, rest = lines[begin].removeprefix("error: ").partition(": ")
    hint = "\n".join(lines[end:]).removeprefix("hint: ")
    return TrainerError(title, "\n".join([rest, *lines[begin + 1 : end]]), hint)


def how_it_ended(code: int | None) -> str:
    """`exit code 3`, `killed by SIGSEGV`."""
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
