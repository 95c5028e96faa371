"""The only writer of a run directory: one process holds its lock and appends to it."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tui_trainer.files import FileLock
from tui_trainer.runs.append import AppendFile, Write
from tui_trainer.runs.checkpoints import create_index
from tui_trainer.runs.claim import claim_existing, claim_new, unwritable
from tui_trainer.runs.discard import delete_record, write_log
from tui_trainer.runs.events import encode
from tui_trainer.runs.json_values import as_number, write_object
from tui_trainer.runs.layout import SCHEMA, RunLayout, run_id
from tui_trainer.runs.prefix import MOST_COLUMNS, keep_prefix, read_columns

Clock = Callable[[], float]

FLUSH_S = 0.05
FLUSH_BYTES = 64 << 10


class RunWriter:
    """Appends events and step rows to a run, and keeps its run.json.

    Safe to use from several threads. After `create` or `resume` no method raises on a disk that is full or
    gone: what can't be written waits in memory, is tried again with the next write, and `trouble` says why.

    Attributes:
        layout: the run's paths.
        run_id: the id that every event carries.
    """

    def __init__(
        self,
        layout: RunLayout,
        run: dict[str, Any],
        lock: FileLock,
        columns: list[str],
        *,
        created: bool,
        clock: Clock,
        timer: Clock,
        write: Write,
    ) -> None:
        """Use `create` or `resume`."""
        self.layout = layout
        self.run_id = str(run["run_id"])
        self._run = run
        self._lock_file = lock
        self._created = created
        self._clock = clock
        self._timer = timer
        self._mutex = threading.RLock()
        self._closed = False
        self._ended = False
        self._holders = 0
        self._troubles: dict[str, str] = {}
        self._header_written = bool(columns)
        self._write = write
        self._events = AppendFile(layout.events, write=write)
        self._steps = AppendFile(layout.steps, write=write)
        self._flushed = timer()
        self._set_columns(columns)

    @classmethod
    def create(
        cls,
        layout: RunLayout,
        identity: Mapping[str, Any],
        hparams: Mapping[str, Any],
        *,
        clock: Clock = time.time,
        timer: Clock = time.monotonic,
        write: Write = os.pwrite,
    ) -> RunWriter:
        """Begin a run in a folder that holds none.

        Args:
            layout: the run's paths; the folder is created if it is missing.
            identity: what run.json says beside schema, run_id, status and created.
            hparams: the full, validated hparams.
            clock: source of unix seconds, for the record.
            timer: source of monotonic seconds, for flushing.
            write: the system call that appends, a parameter for fault tests.

        Raises:
            UsageError: the folder holds a run already, or another process is using it.
            FileError: the folder can't be written.
        """
        lock = claim_new(layout)
        own = {"schema": SCHEMA, "run_id": run_id(layout)}
        run = {**own, "status": "running", "created": clock(), **identity, **own}
        try:
            # run.json last: a folder without it counts as empty, so a kill right here leaves no half run, and
            # one that has it can be resumed.
            write_object(layout.hparams_json, hparams)
            create_index(layout)
            write_object(layout.run_json, run)
            return cls(layout, run, lock, [], created=True, clock=clock, timer=timer, write=write)
        except BaseException as error:
            layout.run_json.unlink(missing_ok=True)
            lock.release()
            if isinstance(error, OSError):
                raise unwritable(layout, error) from error
            raise

    @classmethod
    def resume(
        cls,
        layout: RunLayout,
        identity: Mapping[str, Any],
        hparams: Mapping[str, Any],
        position: Mapping[str, int],
        then: bytes = b"",
        *,
        clock: Clock = time.time,
        timer: Clock = time.monotonic,
        write: Write = os.pwrite,
    ) -> RunWriter:
        """Go on with a run in place, from where a checkpoint was taken.

        What the record holds beyond `position`, and torn ends, are left out of the files' new versions.

        Args:
            layout: the run's paths.
            identity: what is new in run.json (host, pid, command, …); its created, schema and run_id stay.
            hparams: the hparams it goes on with.
            position: what `position()` said at the checkpoint; zeros to start again from scratch.
            then: lines of events that follow what is kept.
            clock: source of unix seconds, for the record.
            timer: source of monotonic seconds, for flushing.
            write: the system call that appends, a parameter for fault tests.

        Raises:
            UsageError: another process is using the run.
            FileError: there is no run here, it is of a newer format, or it can't be written.
        """
        lock, run = claim_existing(layout)
        try:
            kept = _cut(layout, position, then)
            here = {"time": clock(), "host": socket.gethostname(), "pid": os.getpid(), **kept}
            run = _resumed(layout, run, identity, here)
            write_object(layout.run_json, run)
            write_object(layout.hparams_json, hparams)
            columns = read_columns(layout)
            return cls(layout, run, lock, columns, created=False, clock=clock, timer=timer, write=write)
        except BaseException as error:
            lock.release()
            if isinstance(error, OSError):
                raise unwritable(layout, error) from error
            raise

    @property
    def trouble(self) -> str | None:
        """Why the record can't be written at the moment, in one line; None when it can."""
        parts = []
        for file in (self._events, self._steps):
            if file.error is not None:
                lost = f", {file.dropped} lost" if file.dropped else ""
                parts.append(f"{file.name}: {file.error} ({file.waiting} bytes wait{lost})")
        with self._mutex:
            parts += [f"{name}: {why}" for name, why in self._troubles.items()]
        return "; ".join(parts) or None

    def trouble_with(self, name: str, why: str | None) -> None:
        """Say that a part of the run directory can't be written, or None: that it can again."""
        with self._mutex:
            if why is None:
                self._troubles.pop(name, None)
            else:
                self._troubles[name] = why

    def event(self, name: str, /, **fields: Any) -> dict[str, Any]:
        """Append one event, stamped with its time and the run's id. Nothing is appended after `run_end`.

        Returns:
            The event as a dict, its numbers as they were given. `events.encode` makes the line of it.
        """
        event = dict(event=name, time=self._clock(), run_id=self.run_id, **fields)
        line = encode(event)
        with self._mutex:
            if not self._ended:
                self._ended = name == "run_end"
                self._drain_steps()
                self._events.add(line)
                self._events.drain()
        return event

    def row(self, values: Mapping[str, float]) -> None:
        """Append one row of the step series.

        The first row of a run fixes its columns, 2,048 at most. Later on a missing value is NaN and a new
        column is ignored.
        Rows wait in memory for 50 ms, 64 KiB, the next event or `flush`, whichever comes first.
        """
        with self._mutex:
            if not self._columns:
                self._set_columns([str(name) for name in values][:MOST_COLUMNS])
                if not self._columns:
                    return
            get = values.get
            try:
                record = self._pack(*[get(column, _NAN) for column in self._columns])
            except (struct.error, TypeError, OverflowError, ValueError, RuntimeError):
                record = self._pack(*[_number(get(column)) for column in self._columns])
            self._steps.add(record)
            if self._timer() - self._flushed >= FLUSH_S or self._steps.waiting >= FLUSH_BYTES:
                self._drain_steps()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        with self._mutex:
            self._drain_steps()
            self._events.drain()

    def sync(self) -> None:
        """Make everything so far survive a power cut."""
        self.flush()
        # Outside of the mutex: a slow disk must not stop the other threads' rows.
        self._steps.sync()
        self._events.sync()

    def position(self) -> dict[str, int]:
        """How much the record holds now, for `resume`: {"rows": count, "event_bytes": bytes}."""
        with self._mutex:
            self.flush()
            width = 8 * len(self._columns)
            return {"rows": self._steps.end // width if width else 0, "event_bytes": self._events.end}

    def rewind(self, position: Mapping[str, int], then: bytes = b"") -> None:
        """Take back what the record holds beyond `position`, as `resume` does, and go on from there.

        Args:
            position: what `position()` said.
            then: lines of events that follow what is kept.

        Raises:
            FileError: it can't be written; the record is as it was.
        """
        with self._mutex:
            self.flush()
            try:
                _cut(self.layout, position, then)
            except OSError as error:
                raise unwritable(self.layout, error) from error
            finally:
                self._events.close()
                self._steps.close()
                self._events = AppendFile(self.layout.events, write=self._write)
                self._steps = AppendFile(self.layout.steps, write=self._write)
                columns = read_columns(self.layout)
                self._header_written = bool(columns)
                self._set_columns(columns)

    def update(self, **fields: Any) -> None:
        """Merge fields into run.json and replace the file."""
        with self._mutex:
            self._run |= fields
            self._write_run()

    def heartbeat(self) -> None:
        """Say "alive" to viewers on other machines, write what waits, and try again what failed."""
        with self._mutex:
            if self._closed:
                return
            self._lock_file.touch()
            self.flush()
            if self.layout.run_json.name in self._troubles:
                self._write_run()

    def close(self, **final: Any) -> None:
        """Write what waits, then let go of the run. Harmless twice.

        Args:
            final: last fields of run.json, such as status and reason. With a status, the time is added as
                "ended".
        """
        with self._mutex:
            if self._closed:
                return
            self.flush()
            if "status" in final:
                final = {"ended": self._clock(), **final}
            if final or self.layout.run_json.name in self._troubles:
                self.update(**final)
            self._closed = True
            self._events.close()
            self._steps.close()
            if not self._holders:
                self._lock_file.release()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """While inside, the run's lock is held, even if `close` is called: files are being written."""
        with self._mutex:
            self._holders += 1
        try:
            yield
        finally:
            with self._mutex:
                self._holders -= 1
                if self._closed and not self._holders:
                    self._lock_file.release()

    def discard(self, log_folder: Path, text: str) -> Path:
        """Close, keep `text` and the console log in one file, and delete the run directory.

        For a start that failed before it trained. A run that was resumed is not deleted: it is marked as
        failed. Files that are not the record's stay, and the folder with them.

        Args:
            log_folder: where the log goes, as `<run_id>.log`; the temporary folder if that can't be written.
            text: what went wrong.

        Returns:
            The log's path.
        """
        text = text.rstrip("\n") + "\n"
        with suppress(OSError):
            text += self.layout.console_log.read_text(errors="replace")
        log = write_log(log_folder, f"{self.run_id}.log", text)
        if not self._created:
            self.close(status="failed", reason=text.partition("\n")[0])
            return log
        self.close()
        delete_record(self.layout)
        return log

    def _set_columns(self, columns: list[str]) -> None:
        self._columns = columns
        self._pack = struct.Struct(f"<{len(columns)}d").pack

    def _drain_steps(self) -> None:
        self._flushed = self._timer()
        if not self._header_written and self._columns:
            self._write_header()
        if self._header_written:
            self._steps.drain()

    def _write_header(self) -> None:
        header = {"schema": SCHEMA, "run_id": self.run_id, "dtype": "<f8", "columns": self._columns}
        self._header_written = self._write_whole(self.layout.steps_header, header)

    def _write_run(self) -> None:
        if not self._closed:
            self._write_whole(self.layout.run_json, self._run)

    def _write_whole(self, path: Path, content: Mapping[str, Any]) -> bool:
        """Replace a file; False, and trouble, where the disk refuses it."""
        try:
            write_object(path, content)
        except OSError as error:
            self.trouble_with(path.name, error.strerror or str(error))
            return False
        self.trouble_with(path.name, None)
        return True


def _cut(layout: RunLayout, position: Mapping[str, int], then: bytes) -> dict[str, int]:
    return keep_prefix(layout, int(position.get("rows", 0)), int(position.get("event_bytes", 0)), then)


def _resumed(
    layout: RunLayout, run: dict[str, Any], identity: Mapping[str, Any], here: dict[str, Any]
) -> dict[str, Any]:
    """The run.json of a run that goes on: what lasts stays, how it ended goes."""
    lasting = {"schema": SCHEMA, "run_id": run_id(layout), "created": here["time"]}
    lasting |= {key: run[key] for key in lasting if key in run}
    # A name or pin that was given since the start is not undone by a start that names none.
    news = {key: value for key, value in identity.items() if value is not None or key not in run}
    resumes = run.get("resumes")
    earlier = resumes if isinstance(resumes, list) else []
    kept = {key: value for key, value in run.items() if key not in ("reason", "ended")}
    return {**kept, "status": "running", **news, **lasting, "resumes": [*earlier, here]}


_NAN = float("nan")


def _number(value: Any) -> float:
    """A value that `struct` refused, as a float; NaN when it is none."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return as_number(value)
