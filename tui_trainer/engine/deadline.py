"""The time by which a run must have saved and left: a cluster's, or one that was typed. Light to import."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from tui_trainer.engine.interrupt import TIME_LIMIT, StopRequest
from tui_trainer.errors import UsageError

SLURM_END = "SLURM_JOB_END_TIME"
"""Environment variable in which Slurm tells when it will end a job, in unix seconds."""
FLOOR_S = 30.0
"""The run stops at least this long before the end, or a tenth of its time where that is less."""
_FLOOR_PART = 0.1
_OF_DAY = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")


def _ever_running() -> float:
    """Seconds that pass while the machine sleeps, too, and that nobody can set."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Deadline:
    """Asks a run to stop so early that its save is done by the end time.

    Args:
        end: unix seconds.
        wall: unix seconds now; asked once, so that setting the machine's clock changes nothing.
        clock: seconds that pass whatever happens to the machine.

    Attributes:
        reason: of a run that is stopped by it.
        closing_s: tells how many seconds the last step and the save may take.
    """

    def __init__(
        self, end: float, wall: Callable[[], float] = time.time, clock: Callable[[], float] = _ever_running
    ) -> None:
        left = end - wall()
        self.reason = f"{TIME_LIMIT} {datetime.fromtimestamp(end):%Y-%m-%d %H:%M:%S}"
        self.closing_s: Callable[[], float] = float
        self._clock = clock
        self._end = clock() + left
        self._floor = min(FLOOR_S, _FLOOR_PART * left)

    def check(self, stop: StopRequest) -> None:
        """Ask for the stop if it is time. Call it several times a second."""
        if stop.reason is None and self._clock() >= self._end - max(self._floor, self.closing_s()):
            stop.request(self.reason)
            stop.announce(f"{self.reason} is near: stopping after this step, then saving")


def end_time(
    typed: str | None, env: Mapping[str, str], wall: Callable[[], float] = time.time
) -> float | None:
    """When the run must be over.

    Args:
        typed: unix seconds, ISO 8601 (local time unless it names a zone), or HH:MM for the next such local
            time; None: what Slurm says.
        env: the environment.
        wall: unix seconds now.

    Returns:
        Unix seconds; None where there is no limit.

    Raises:
        UsageError: what was typed is no time, or is over.
    """
    if typed is None:
        given = env.get(SLURM_END, "")
        # One that is over was made longer after the job began.
        return float(given) if given.isdecimal() and float(given) > wall() else None
    end = _parse(typed.strip(), wall())
    if end is None:
        raise UsageError(
            "wrong end time",
            f"--end-time: expected a time, got {typed!r}",
            "14:30 (the next one), 2026-11-26T14:30, or unix seconds",
        )
    if end <= wall():
        raise UsageError(
            "end time is over",
            f"--end-time {typed} was {datetime.fromtimestamp(end):%Y-%m-%d %H:%M:%S}",
            "give one that is to come; HH:MM alone is the next such time",
        )
    return end


def _parse(text: str, now: float) -> float | None:
    """Unix seconds; None where the text is no time, or one that no calendar here knows."""
    try:
        if text.replace(".", "", 1).isdecimal():
            return datetime.fromtimestamp(float(text)).timestamp()
        match = _OF_DAY.fullmatch(text)
        if match is None:
            return datetime.fromisoformat(text).timestamp()
        hour, minute, second = (int(part or 0) for part in match.groups())
        today = datetime.fromtimestamp(now).replace(hour=hour, minute=minute, second=second, microsecond=0)
        return (today if today.timestamp() > now else today + timedelta(days=1)).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
