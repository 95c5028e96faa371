"""CSV files that any spreadsheet or `pandas.read_csv` takes: steps.csv, epochs.csv, log.csv, hparams.json."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from tui_trainer.files import write_bytes
from tui_trainer.loggers import own_folder
from tui_trainer.loggers.records import End, Image, Measured, Record, Rows, Start, Text
from tui_trainer.runs.json_values import write_object


class Sink:
    """Files in a folder of the run's own. Until the first flush each is as it was; nothing is half written.

    After that steps.csv and log.csv grow by whole lines, and the others are replaced.
    """

    viewer = ""

    def __init__(self, start: Start, root: Path, out: Path | None) -> None:
        self._folder = own_folder("csv", start, root, out)
        self._folder.mkdir(parents=True, exist_ok=True)
        self.where = str(self._folder)
        self._root = root
        self._start = start
        self._steps: _Growing | None = None
        self._log = _Growing(self._folder / "log.csv", ["time", "epoch", "step", "name", "text"])
        self._tables = {name: _Table(self._folder / name) for name in ("epochs.csv", "evaluations.csv")}

    def write(self, record: Record) -> None:
        match record:
            case Rows(columns, values):
                if self._steps is None:
                    self._steps = _Growing(self._folder / "steps.csv", columns)
                whole = columns.index("step")
                for row in values.tolist():
                    row[whole] = int(row[whole])
                    self._steps.add(row)
            case Measured(epoch, step, time, metrics, timing):
                place = {"epoch": epoch, "step": step, "time": time}
                table = "epochs.csv" if timing else "evaluations.csv"
                self._tables[table].add({**place, **timing, **metrics})
            case Text(name, text, epoch, step, time):
                self._log.add([time, epoch, step, name, text])
            case Image(name, path, epoch, step, time):
                self._log.add([time, epoch, step, name, str(path.relative_to(self._root))])
            case End(status, reason, step, time):
                self._log.add([time, "", step, "run/end", f"{status}: {reason}"])

    def flush(self) -> None:
        write_object(self._folder / "hparams.json", self._start.hparams, durable=False)
        # The log last: where it tells of the run's end, all is there.
        for file in (self._steps, *self._tables.values(), self._log):
            if file is not None:
                file.flush()

    def close(self) -> None:
        self.flush()
        self.abandon()

    def abandon(self) -> None:
        for file in (self._steps, self._log):
            if file is not None:
                file.close()


class _Growing:
    """A CSV file that takes its name with the first flush, and grows from then on."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self._path = path
        self._temporary = path.with_name(f".{path.name}.new")
        # What is left of a filling that was killed, or a link somebody put here.
        self._temporary.unlink(missing_ok=True)
        self._file: IO[str] = open(self._temporary, "x", newline="", encoding="utf-8", errors="replace")
        self._named = False
        self._writer = csv.writer(self._file, lineterminator="\n")
        self._writer.writerow(columns)

    def add(self, row: Iterable[Any]) -> None:
        self._writer.writerow(row)

    def flush(self) -> None:
        self._file.flush()
        if not self._named:
            self._temporary.replace(self._path)
            self._named = True

    def close(self) -> None:
        self._file.close()
        if not self._named:
            self._temporary.unlink(missing_ok=True)


class _Table:
    """A CSV file whose columns may become more: a metric can come with any epoch. Kept in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[Mapping[str, Any]] = []
        self._columns: dict[str, None] = {}
        self._written = -1

    def add(self, row: Mapping[str, Any]) -> None:
        self._rows.append(row)
        self._columns.update(dict.fromkeys(row))

    def flush(self) -> None:
        if self._written == len(self._rows):
            return
        self._written = len(self._rows)
        if not self._rows:
            # Of an earlier filling.
            self._path.unlink(missing_ok=True)
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(self._columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_bytes(self._path, text.getvalue().encode("utf-8", "replace"), durable=False)
