"""Predictions as CSV, JSON lines, plain text or a NumPy array, written batch by batch as they come."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, get_args

from tui_trainer.errors import TrainerError, UsageError
from tui_trainer.files import replacing
from tui_trainer.headless.words import clean
from tui_trainer.runs.events import encode

Format = Literal["csv", "jsonl", "text", "npy"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "text", ".npy": "npy",
}  # fmt: skip

Row = dict[str, Any]
Write = Callable[[bytes], object]


def choose_format(named: Format | None, output: Path | None) -> Format:
    """The format that is asked for, else the one of the file's ending; on stdout CSV.

    Raises:
        UsageError: nothing tells, or an array is to go to stdout.
    """
    found = named or (_SUFFIXES.get(output.suffix.lower()) if output is not None else "csv")
    if found is None:
        endings = ", ".join(_SUFFIXES)
        raise UsageError(
            "which format?", f"{output} ends in none of {endings}", "--format csv, jsonl, text or npy"
        )
    if found == "npy" and output is None:
        raise UsageError("an array needs a file", "--format npy without --output", "--output FILE.npy")
    return found


@contextmanager
def opened(output: Path | None) -> Iterator[IO[bytes]]:
    """Where predictions go: a file that appears when it is complete, or stdout as it is."""
    if output is None:
        yield _Stdout()  # type: ignore[misc]
        return
    with replacing(output) as file:
        yield file


class _Stdout:
    """What is standard output now, for bytes of text; on a terminal nothing in them can move the cursor."""

    def __init__(self) -> None:
        self._stream = sys.stdout

    def write(self, data: bytes) -> None:
        text = data.decode()
        self._stream.write(clean(text) if self._stream.isatty() else text)
        self._stream.flush()


class RowWriter:
    """Writes records.

    Args:
        file: where to.
        form: csv, jsonl or text.
    """

    def __init__(self, file: IO[bytes], form: Format) -> None:
        self._file, self._form = file, form
        self._columns: list[str] | None = None

    def write(self, known: Sequence[Row], predicted: Sequence[Row]) -> None:
        """Write the records of a batch.

        Args:
            known: what identifies each sample.
            predicted: what the model makes of it.
        """
        self._file.write(
            getattr(self, f"_{self._form}")(known, predicted).encode("utf-8", "backslashreplace")
        )

    def close(self) -> None:
        """All is written."""

    def _csv(self, known: Sequence[Row], predicted: Sequence[Row]) -> str:
        rows = [{**one, **other} for one, other in zip(known, predicted, strict=True)]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if self._columns is None:
            self._columns = list(rows[0])
            writer.writerow(self._columns)
        for row in rows:
            if strange := [name for name in row if name not in self._columns]:
                raise TrainerError(
                    "predictions differ in their columns",
                    f"{', '.join(map(str, strange))} did not come with the first sample",
                    "--format jsonl writes records that differ",
                )
            writer.writerow([row.get(name) for name in self._columns])
        return text.getvalue()

    def _jsonl(self, known: Sequence[Row], predicted: Sequence[Row]) -> str:
        rows = ({**one, **other} for one, other in zip(known, predicted, strict=True))
        return "".join(encode(row).decode() for row in rows)

    def _text(self, known: Sequence[Row], predicted: Sequence[Row]) -> str:
        return "".join("\t".join(str(value) for value in row.values()) + "\n" for row in predicted)


class ArrayWriter:
    """Writes outputs themselves, as one `.npy` array with samples in dim 0.

    Args:
        file: where to; it can seek.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._like: Any = None
        self._samples = 0

    def write(self, outputs: Any) -> None:
        """Write the outputs of a batch.

        Raises:
            TrainerError: they are no tensor, or unlike those before.
        """
        if not hasattr(outputs, "detach") or not outputs.dim():
            raise TrainerError(
                "predictions are no tensor",
                f"predict() returned a {type(outputs).__name__}, and an array is asked for",
                "--format jsonl writes what prediction_rows() makes of it",
            )
        outputs = outputs.detach().cpu()
        # NumPy has no bfloat16; float32 holds each of its values.
        array = (outputs.float() if str(outputs.dtype) == "torch.bfloat16" else outputs).numpy()
        if self._like is None:
            self._like = array[:0]
            self._header()
        if (array.shape[1:], array.dtype) != (self._like.shape[1:], self._like.dtype):
            raise TrainerError(
                "predictions differ in shape",
                f"{array.shape[1:]} after {self._like.shape[1:]}, which makes no array",
                "--format jsonl writes samples that differ",
            )
        self._file.write(array.tobytes())
        self._samples += len(array)

    def close(self) -> None:
        """Put the number of samples into the header, which has room for it."""
        if self._like is not None:
            self._file.seek(0)
            self._header()

    def _header(self) -> None:
        from numpy.lib import format as npy

        shape = (self._samples, *self._like.shape[1:])
        described = {"descr": npy.dtype_to_descr(self._like.dtype), "fortran_order": False, "shape": shape}
        npy.write_array_header_1_0(self._file, described)
