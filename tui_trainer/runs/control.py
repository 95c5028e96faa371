"""Requests to a live run: one small file each in its `control` folder, written by any front end.

A front end writes a request with `send`; the trainer takes it out of the folder within a tenth of a second,
carries it out at a step boundary, and records a `control` event that names the request::

    waiting ──► acknowledged (the file is gone) ──► done, or refused (a `control` event with its id)
"""

from __future__ import annotations

import getpass
import json
import math
import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tui_trainer import files
from tui_trainer.errors import FileError, UsageError
from tui_trainer.runs.index import summarise
from tui_trainer.runs.json_values import as_number, loads
from tui_trainer.runs.layout import RunLayout, parse_tag, run_id
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import ENDED, SILENT_S

Clock = Callable[[], float]
Refuse = Callable[[str, str], None]
"""Told the name of a file that is no request, and why."""

ACTIONS = ("pause", "unpause", "stop", "save", "set", "pin", "unpin", "rm")
STOPS = ("now", "epoch_end")

_NAME = re.compile(r"([0-9]{1,20})-[0-9]{1,10}-[0-9a-f]{1,16}\.json")
_LARGEST = 4096
_AT_ONCE = 100
_BY = 100
_RESERVED_S = 5.0


@dataclass(frozen=True)
class Request:
    """A wish that somebody has for a live run.

    Attributes:
        id: the name of its file without the ending.
        action: one of `ACTIONS`.
        value: of `stop`: "now" or "epoch_end"; of `set`: {"lr": float}; of `pin` and `unpin`: a checkpoint's
            tag, or None for the run itself; of `rm`: a checkpoint's tag; else None.
        requested_by: who asked, for people.
        time: unix seconds.
    """

    id: str
    action: str
    value: Any
    requested_by: str
    time: float


@dataclass(frozen=True)
class Outcome:
    """How a request stands.

    Attributes:
        status: waiting (the trainer has not seen it), acknowledged (it has, and carries it out at the next
            step boundary), done, or refused.
        event: the `control` event; None before. Its `error` says why a request was refused.
    """

    status: Literal["waiting", "acknowledged", "done", "refused"]
    event: Mapping[str, Any] | None = None


def new_request(action: str, value: Any, requested_by: str, clock: Clock = time.time) -> Request:
    """A request with an id of its own.

    Args:
        action: one of `ACTIONS`.
        value: as `Request.value`.
        requested_by: who asks, for people.
        clock: source of unix seconds.
    """
    now = clock()
    name = f"{int(now * 1e9):019}-{os.getpid()}-{secrets.token_hex(4)}"
    return Request(name, action, value, requested_by, now)


def send(
    run: RunLayout | Path, action: str, value: Any = None, requested_by: str = "", clock: Clock = time.time
) -> Request:
    """Ask the trainer of a live run for something.

    Args:
        run: the run, or its folder.
        action: one of `ACTIONS`.
        value: as `Request.value`.
        requested_by: who asks; by default user@host.
        clock: source of unix seconds.

    Raises:
        UsageError: a wrong action or value, or nobody trains this run.
        FileError: the folder can't be written.
    """
    layout = run if isinstance(run, RunLayout) else RunLayout(run)
    value = _checked(action, value)
    if not is_live(layout):
        summary = summarise(layout.root)
        raise UsageError(
            "run is not training",
            f"{run_id(layout)} is {summary['status']}",
            f"tui-train --resume {run_id(layout)} goes on with it",
        )
    request = new_request(action, value, requested_by or whoami(), clock)
    content = {key: getattr(request, key) for key in ("action", "value", "requested_by", "time")}
    try:
        layout.control.mkdir(exist_ok=True)
        files.create_only(layout.control / f"{request.id}.json", json.dumps(content).encode() + b"\n")
    except OSError as error:
        message = files.os_failure(error, layout.control)
        raise FileError(
            "request can't be written", message, "only who may write to a run can control it"
        ) from error
    return request


def is_live(layout: RunLayout) -> bool:
    """Whether a process of this machine trains a run, or one of another did within the last minute."""
    reader = RunReader(layout.root)
    liveness = reader.liveness()
    if liveness == "remote":
        return reader.run().get("status") not in ENDED and reader.heartbeat_age_s() <= SILENT_S
    return liveness == "live"


def whoami() -> str:
    """`user@host`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def waiting(layout: RunLayout) -> list[Request]:
    """The requests that the trainer has not taken yet, oldest first. For front ends: nothing is changed."""
    try:
        names = _names(layout.control)
    except OSError:
        return []
    requests = []
    for name in names:
        with suppress(OSError, ValueError):
            requests.append(_parse(name, files.read_plain(layout.control / name, _LARGEST, follow=False)))
    return requests


def take(
    layout: RunLayout, refuse: Refuse = lambda name, why: None, clock: Clock = time.time
) -> list[Request]:
    """Take requests out of the folder, oldest first. For the trainer.

    What is no request is removed too, and reported. Temporary files of writers are left alone.

    Args:
        layout: the run's paths.
        refuse: told what is wrong with a file.
        clock: source of unix seconds.

    Raises:
        OSError: the folder can't be read.
    """
    requests = []
    for name in _names(layout.control)[:_AT_ONCE]:
        path = layout.control / name
        try:
            data = files.read_plain(path, _LARGEST, follow=False)
            if not data and clock() - path.lstat().st_mtime < _RESERVED_S:
                # A name that was reserved where there are no hard links; its content is about to come.
                continue
            request = _parse(name, data)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            refuse(name, getattr(error, "strerror", None) or str(error))
            _remove(path)
            continue
        if _remove(path):
            # One that can't be removed would be carried out again and again.
            requests.append(request)
        else:
            refuse(name, "it can't be removed")
    return requests


def clear(layout: RunLayout) -> None:
    """Throw away what lies in the folder: requests to a trainer that is gone."""
    files.remove_temporaries(layout.control)
    with suppress(OSError):
        for name in _names(layout.control):
            _remove(layout.control / name)


def outcome(layout: RunLayout, request: Request | str, events: Iterable[Mapping[str, Any]]) -> Outcome:
    """How a request stands.

    Args:
        layout: the run's paths.
        request: the request or its id.
        events: the run's events since it was sent, or its `RunState.controls`.
    """
    name = request if isinstance(request, str) else request.id
    for event in events:
        if event.get("event") == "control" and event.get("request") == name:
            return Outcome("refused" if "error" in event else "done", event)
    return Outcome("waiting" if (layout.control / f"{name}.json").exists() else "acknowledged")


def _checked(action: str, value: Any) -> Any:
    """The value of an action in the form in which it is carried out.

    Raises:
        UsageError: there is no such action, or it takes no such value.
    """
    if action not in ACTIONS:
        raise UsageError("wrong request", f"unknown action {action!r}", f"one of {', '.join(ACTIONS)}")
    if action == "stop":
        value = STOPS[0] if value is None else value
        if value not in STOPS:
            raise UsageError("wrong request", f"stop: expected {' or '.join(STOPS)}, got {value!r}")
    elif action == "set":
        if not isinstance(value, Mapping) or set(value) != {"lr"}:
            raise UsageError("wrong request", f"set: expected an lr, got {value!r}", "only lr can be changed")
        given = value["lr"]
        rate = _number(given)
        if not 0 < rate < math.inf:
            raise UsageError("wrong request", f"lr: expected a number > 0, got {given!r}")
        value = {"lr": rate}
    elif action in ("pin", "unpin", "rm"):
        try:
            if value is not None or action == "rm":
                parse_tag(value)
        except (TypeError, ValueError):
            raise UsageError("wrong request", f"{action}: {value!r} is no checkpoint's tag") from None
    elif value is not None:
        raise UsageError("wrong request", f"{action} takes no value, got {value!r}")
    return value


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as found:
        names = [entry.name for entry in found if not entry.name.startswith(".")]
    return sorted(names, key=_age) if len(names) > 1 else names


def _age(name: str) -> tuple[int, str]:
    match = _NAME.fullmatch(name)
    return (int(match[1]) if match else 0, name)


def _parse(name: str, data: bytes) -> Request:
    """The request in a file.

    Raises:
        ValueError: it holds none; the message says why.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError("its name is not that of a request")
    try:
        content = loads(data)
    except ValueError:
        raise ValueError("it is not JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("action"), str):
        raise ValueError("it names no action")
    try:
        value = _checked(content["action"], content.get("value"))
    except UsageError as error:
        raise ValueError(error.message) from None
    said = content.get("requested_by")
    by = "".join(character for character in str(said or "") if character.isprintable())[:_BY]
    return Request(
        name.removesuffix(".json"), content["action"], value, by or "somebody", _number(content.get("time"))
    )


def _number(value: Any) -> float:
    """A number that JSON may hold; NaN for anything else."""
    return as_number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except OSError:
        with suppress(OSError):
            path.rmdir()
            return True
        return False
    return True
