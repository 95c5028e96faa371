"""TensorBoard event files, written by tensorboard's own writer: no torch, so a follower stays small."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_trainer.files import read_plain
from tui_trainer.loggers import own_folder
from tui_trainer.loggers.records import (
    End,
    Image,
    Measured,
    Record,
    Rows,
    Start,
    Text,
    scalars,
    step_scalars,
)
from tui_trainer.runs.json_values import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterable

_SUFFIX = ".tui-trainer"
_PNG = b"\x89PNG\r\n\x1a\n"


class Sink:
    """One event file in a folder of the run's own: scalars, texts, images, and the HParams page."""

    def __init__(self, start: Start, root: Path, out: Path | None) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        folder = own_folder("tensorboard", start, root, out)
        self.where = str(folder)
        self.viewer = f"tensorboard --logdir {root.parent if out is None else out}"
        for path in folder.glob(f"events.out.tfevents.*{_SUFFIX}"):
            path.unlink()
        self._writer = EventFileWriter(str(folder), max_queue_size=1000, filename_suffix=_SUFFIX)
        # A TensorBoard that has read the file before forgets what it read.
        self._event(start.time, 0, session_log=SessionLog(status=SessionLog.START))
        self._hparams(session_start_info=_session_start(start))

    def write(self, record: Record) -> None:
        match record:
            case Rows(_, values):
                names, taken, step, time = step_scalars(record)
                for row in values.tolist():
                    self._scalars(row[time], int(row[step]), zip(names, [row[k] for k in taken], strict=True))
            case Measured(_, step, time, _, _):
                self._scalars(time, step, scalars(record).items())
            case Text(name, text, _, step, time):
                self._summary(time, step, _text(name, text))
            case Image(name, path, _, step, time):
                if (image := _image(path)) is not None:
                    self._summary(time, step, {"tag": name, "image": image})
            case End(status, reason, step, time):
                self._summary(time, step, _text("run/end", f"{status}: {reason}"))
                self._hparams(session_end_info=_session_end(status, time))

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def abandon(self) -> None:
        self._writer.close()

    def _scalars(self, time: float, step: int, values: Iterable[tuple[str, float]]) -> None:
        self._summary(time, step, *({"tag": name, "simple_value": value} for name, value in values))

    def _hparams(self, **session: Any) -> None:
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        (name,) = session
        data = HParamsPluginData(version=0, **session).SerializeToString()
        plugin = {"plugin_name": "hparams", "content": data}
        tag = f"_hparams_/{name}"
        # Its content is all in the metadata; a tensor must be there all the same.
        self._summary(0.0, 0, {"tag": tag, "metadata": {"plugin_data": plugin}, "tensor": _EMPTY_TENSOR})

    def _summary(self, time: float, step: int, *values: dict[str, Any]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._event(time, step, summary=Summary(value=[Summary.Value(**value) for value in values]))

    def _event(self, time: float, step: int, **what: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(wall_time=time, step=step, **what))


_EMPTY_TENSOR = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [{"size": 1}]}, "float_val": [0.0]}


def _text(name: str, text: str) -> dict[str, Any]:
    shape = {"dim": [{"size": 1}]}
    tensor = {"dtype": "DT_STRING", "string_val": [text.encode("utf-8", "replace")], "tensor_shape": shape}
    return {"tag": name, "metadata": {"plugin_data": {"plugin_name": "text"}}, "tensor": tensor}


def _image(path: Path) -> dict[str, Any] | None:
    data = read_plain(path, LARGEST, follow=False)
    if not data.startswith(_PNG) or len(data) < 26:
        return None
    width, height = struct.unpack(">II", data[16:24])
    channels = {0: 1, 4: 2, 2: 3, 6: 4}.get(data[25], 3)
    return {"width": width, "height": height, "colorspace": channels, "encoded_image_string": data}


def _session_start(start: Start) -> Any:
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionStartInfo

    info = SessionStartInfo(group_name=start.run_id, start_time_secs=start.time)
    for name, value in start.hparams.items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, (int, float)):
            info.hparams[name].number_value = value
        elif value is not None:
            info.hparams[name].string_value = str(value)
    return info


def _session_end(status: str, time: float) -> Any:
    from tensorboard.plugins.hparams.api_pb2 import Status
    from tensorboard.plugins.hparams.plugin_data_pb2 import SessionEndInfo

    known = "STATUS_SUCCESS" if status == "finished" else "STATUS_FAILURE"
    return SessionEndInfo(status=Status.Value(known), end_time_secs=time)
