"""What loggers get of a run: all of it, once, whatever the run does meanwhile."""

from __future__ import annotations

import csv
import json
import math
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image as Picture

from tests.helpers import events, rows
from tests.ui.recorded import Recorder, finished
from tui_trainer.errors import FileError, TrainerError, UsageError
from tui_trainer.loggers import named, open_sink
from tui_trainer.loggers.feed import Patience, feed
from tui_trainer.loggers.records import End, Image, Measured, Record, Rows, Start
from tui_trainer.loggers.source import RunSource

NAN, INF = math.nan, math.inf


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with texts, an image, an alert, numbers that are none, and a metric that comes late."""
    root = tmp_path_factory.mktemp("runs") / "it"
    recorder = Recorder(root, {"epochs": 3, "lr": 0.003}).start()
    recorder.end_epoch(odd=NAN)
    recorder.event("log", name="note", text='said "this",\nand that', epoch=1, step=10)
    (root / "media").mkdir()
    Picture.new("RGB", (7, 5), (255, 0, 0)).save(root / "media" / "red_1.png")
    recorder.event("log", name="red", image="media/red_1.png", epoch=1, step=10)
    recorder.train(4)
    place = {"epoch": 2, "step": recorder.step}
    recorder.event("evaluation", **place, metrics={"test/loss": 0.5}, best=None, improved=False)
    recorder.event("alert", level="warning", title="odd", message="it is odd", step=14)
    recorder.end_epoch(odd=INF, late=1.5)
    recorder.end_epoch(odd=-INF)
    recorder.end()
    return root


@pytest.fixture
def run_dir(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "it"))


def fill(root: Path, name: str, out: Path | None = None) -> Counter[str]:
    return feed(RunSource(root), lambda start: open_sink(name, start, root, out))[1]


def table(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


# ---------------------------------------------------------------- the stream


def test_a_run_is_a_stream_that_begins_with_its_hparams_and_ends_with_its_end(run_dir: Path) -> None:
    found = list(RunSource(run_dir).poll())
    start, end = found[0], found[-1]
    assert isinstance(start, Start)
    assert (start.run_id, start.task, start.hparams["lr"]) == ("it", "digits", 0.003)
    assert isinstance(end, End)
    assert (end.status, end.step) == ("finished", 30)
    kinds = Counter(type(record).__name__ for record in found)
    assert kinds == {"Start": 1, "Rows": 1, "Measured": 4, "Text": 5, "Image": 1, "End": 1}


def test_nothing_is_told_before_the_first_step(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "it").start()
    source = RunSource(recorder.layout.root)
    assert list(source.poll()) == []
    recorder.train(2)
    assert [type(record) for record in source.poll()] == [Start, Rows]
    assert list(source.poll()) == []
    assert not source.over
    recorder.end()
    assert [type(record) for record in source.poll()] == [End]
    assert source.over


def test_a_run_whose_process_is_gone_ends_as_crashed(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "it").start().train(3)
    recorder.crash()
    source = RunSource(recorder.layout.root)
    end = list(source.poll())[-1]
    assert isinstance(end, End)
    assert (end.status, end.step, end.time) == ("crashed", 3, recorder.time)
    assert source.over


def test_a_run_that_is_taken_back_is_over(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "it").start()
    source = RunSource(recorder.layout.root)
    assert list(source.poll()) == []
    recorder.writer.discard(tmp_path / "logs", "")
    assert list(source.poll()) == []
    assert source.over


def test_images_that_lie_elsewhere_are_left_out(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "it").start().train(1)
    (tmp_path / "secret.png").write_bytes(b"secret")
    media = recorder.layout.media
    media.mkdir()
    (media / "link.png").symlink_to(tmp_path / "secret.png")
    for path in ("../secret.png", "media/../../secret.png", str(tmp_path / "secret.png"), "media/..", 3):
        recorder.event("log", name="x", image=path, epoch=1, step=1)
    recorder.event("log", name="x", image="media/link.png", epoch=1, step=1)
    recorder.end()
    assert not [record for record in RunSource(recorder.layout.root).poll() if isinstance(record, Image)]


# ---------------------------------------------------------------- following


class Listener:
    """A logger in memory."""

    where = viewer = ""

    def __init__(self, failing: type[Record] | None = None) -> None:
        self.records: list[Record] = []
        self.ends: list[str] = []
        self._failing = failing

    def write(self, record: Record) -> None:
        if self._failing is not None and isinstance(record, self._failing):
            raise ValueError("I want no more")
        self.records.append(record)

    def flush(self) -> None:
        self.ends.append("flush")

    def close(self) -> None:
        self.ends.append("close")

    def abandon(self) -> None:
        self.ends.append("abandon")

    @property
    def steps(self) -> list[int]:
        taken = [record for record in self.records if isinstance(record, Rows)]
        return [int(step) for part in taken for step in part.values[:, part.columns.index("step")]]


def follow(recorder: Recorder, *lives: Callable[[], object]) -> list[Listener]:
    """Follow a run, doing one thing with it between two looks. Returns the loggers that were opened."""
    opened: list[Listener] = []
    left = iter(lives)

    def open_one(start: Start) -> Listener:
        opened.append(Listener())
        return opened[-1]

    feed(RunSource(recorder.layout.root), open_one, True, lambda: next(left)())
    return opened


def test_a_run_is_followed_to_its_end(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "it").start()
    (logger,) = follow(recorder, lambda: recorder.train(3), recorder.end_epoch, recorder.end)
    assert logger.steps == list(range(1, 11))
    assert sum(isinstance(record, Measured) for record in logger.records) == 1
    assert logger.ends == ["flush", "flush", "close"]


def test_what_a_run_took_back_is_taken_back_from_a_logger_too(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "it").start()
    recorder.end_epoch()
    position = recorder.writer.position()

    def back() -> None:
        recorder.writer.rewind(position)
        recorder.step = 10
        recorder.event("run_resume", step=10, epoch=1, checkpoint="checkpoints/model_1.pt")

    first, second = follow(
        recorder, lambda: recorder.train(7), back, lambda: recorder.train(2), lambda: recorder.end()
    )
    assert first.steps == list(range(1, 18))
    assert first.ends[-1] == "abandon"
    assert second.steps == list(range(1, 13))
    assert second.ends[-1] == "close"


def test_a_logger_that_fails_is_an_error_with_a_hint(run_dir: Path) -> None:
    logger = Listener(failing=Measured)
    with pytest.raises(TrainerError, match="ValueError: I want no more") as caught:
        feed(RunSource(run_dir), lambda start: logger)
    assert "can fill it again" in caught.value.hint
    assert logger.ends == ["abandon"]


def test_a_logger_that_hangs_when_the_run_is_over_is_given_up() -> None:
    over, left, said = threading.Event(), threading.Event(), []

    def leave(code: int) -> None:
        said.append(str(code))
        left.set()

    Patience(over.is_set, said.append, 0.05, leave)
    over.set()
    assert left.wait(60)
    assert "logging hangs" in said[0]
    assert said[1] == "1"


# ---------------------------------------------------------------- csv


def test_csv_holds_every_value_of_the_record(run_dir: Path) -> None:
    counts = fill(run_dir, "csv")
    folder, recorded = run_dir / "logs" / "csv", rows(run_dir)
    assert (counts["Rows"], counts["Measured"]) == (30, 4)
    steps = table(folder / "steps.csv")
    assert list(steps[0]) == list(recorded)
    for name, series in recorded.items():
        assert np.array_equal([float(row[name]) for row in steps], series, equal_nan=True)
    epochs, told = table(folder / "epochs.csv"), events(run_dir, "epoch_end")
    assert [int(row["epoch"]) for row in epochs] == [1, 2, 3]
    assert [row["odd"] for row in epochs] == ["nan", "inf", "-inf"]
    assert [row["late"] for row in epochs] == ["", "1.5", ""]
    assert [float(row["test/loss"]) for row in epochs] == [event["metrics"]["test/loss"] for event in told]
    assert [float(row["time"]) for row in epochs] == [event["time"] for event in told]
    assert [row["test/loss"] for row in table(folder / "evaluations.csv")] == ["0.5"]
    log = table(folder / "log.csv")
    assert [row["text"] for row in log if row["name"] == "note"] == ['said "this",\nand that']
    assert [row["text"] for row in log if row["name"] == "run/alerts"] == ["warning: odd: it is odd"]
    assert [row["text"] for row in log if row["name"] == "red"] == ["media/red_1.png"]
    assert json.loads((folder / "hparams.json").read_text())["lr"] == 0.003


def test_csv_is_the_same_when_it_is_filled_twice_and_lies_by_run_under_a_folder(
    run_dir: Path, tmp_path: Path
) -> None:
    def contents(folder: Path) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    fill(run_dir, "csv", tmp_path / "all")
    first = contents(tmp_path / "all" / "it")
    assert len(first) == 5
    fill(run_dir, "csv", tmp_path / "all")
    assert contents(tmp_path / "all" / "it") == first


def test_a_run_can_not_lead_a_logger_out_of_the_folder(run_dir: Path, tmp_path: Path) -> None:
    run = json.loads((run_dir / "run.json").read_text())
    (run_dir / "run.json").write_text(json.dumps({**run, "run_id": "../../away"}))
    fill(run_dir, "csv", tmp_path / "all" / "of")
    assert [path.parent.parent for path in tmp_path.rglob("steps.csv")] == [tmp_path / "all" / "of"]


def test_csv_that_is_not_completed_leaves_what_was_there(run_dir: Path) -> None:
    fill(run_dir, "csv")
    folder = run_dir / "logs" / "csv"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    start, *others = RunSource(run_dir).poll()
    assert isinstance(start, Start)
    sink = open_sink("csv", start, run_dir, None)
    sink.write(others[0])
    sink.abandon()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_that_can_not_be_written_is_a_file_error(run_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="Not a directory"):
        fill(run_dir, "csv", tmp_path / "file")


# ---------------------------------------------------------------- tensorboard


def read_back(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    return found.Reload()


def test_tensorboard_holds_every_value_of_the_record(run_dir: Path) -> None:
    pytest.importorskip("tensorboard")
    fill(run_dir, "tensorboard")
    found, recorded = read_back(run_dir / "logs" / "tensorboard"), rows(run_dir)
    for name, series in recorded.items():
        if name in ("step", "time"):
            continue
        points = found.Scalars(f"step/{name}")
        assert [point.step for point in points] == recorded["step"].tolist()
        assert [point.wall_time for point in points] == recorded["time"].tolist()
        values = np.array([point.value for point in points])
        assert np.array_equal(values, series.astype(np.float32), equal_nan=True)
    measured = [event for event in events(run_dir) if event["event"] in ("epoch_end", "evaluation")]
    points = found.Scalars("test/loss")
    assert [point.step for point in points] == [event["step"] for event in measured]
    assert [point.wall_time for point in points] == [event["time"] for event in measured]
    told = np.float32([event["metrics"]["test/loss"] for event in measured])
    assert np.array_equal(np.float32([point.value for point in points]), told)
    assert np.array_equal([p.value for p in found.Scalars("odd")], [NAN, INF, -INF], equal_nan=True)
    assert len(found.Scalars("late")) == 1
    (note,) = found.Tensors("note")
    assert note.tensor_proto.string_val[0].decode() == 'said "this",\nand that'
    (red,) = found.Images("red")
    assert red.encoded_image_string == (run_dir / "media" / "red_1.png").read_bytes()
    assert (red.width, red.height, red.step) == (7, 5, 10)
    assert "_hparams_/session_start_info" in found.PluginTagToContent("hparams")


def test_tensorboard_does_not_double_when_it_is_filled_twice(run_dir: Path) -> None:
    pytest.importorskip("tensorboard")
    folder = run_dir / "logs" / "tensorboard"
    folder.mkdir(parents=True)
    (folder / "events.out.tfevents.1.theirs").touch()
    for _ in range(2):
        fill(run_dir, "tensorboard")
        assert len(read_back(folder).Scalars("step/train/loss")) == 30
    # What somebody else put there is left alone.
    assert len(list(folder.iterdir())) == 2


# ---------------------------------------------------------------- wandb and mlflow


class FakeWandb(ModuleType):
    """The part of W&B's client that is used, as of wandb 0.31, keeping what it is given.

    Tried against the real ones by hand (offline); they are not installed where the tests run.
    """

    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: list[Any] = []

    def init(self, **options: Any) -> Any:
        name = options["id"]
        folder = Path(options["dir"]) / "wandb" / f"offline-run-{len(self.runs)}-{name}"
        folder.mkdir(parents=True)
        (folder / f"run-{name}.wandb").touch()
        run = FakeRun(str(folder / "files"), options["config"])
        self.runs.append(run)
        return run

    def Settings(self, **options: Any) -> dict[str, Any]:
        return options

    def Html(self, data: str, inject: bool) -> tuple[str, str]:
        return "html", data

    def Image(self, path: str) -> tuple[str, str]:
        return "image", path


class FakeRun:
    offline = True

    def __init__(self, folder: str, config: dict[str, Any]) -> None:
        self.dir = folder
        self.config = config
        self.summary: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.axes: dict[str, str | None] = {}
        self.exit_code: int | None = None

    def define_metric(self, name: str, step_metric: str | None = None) -> None:
        self.axes[name] = step_metric

    def log(self, values: dict[str, Any]) -> None:
        self.history.append(values)

    def finish(self, exit_code: int) -> None:
        self.exit_code = exit_code


def test_wandb_gets_every_value_at_its_step_and_time_and_replaces_what_was_offline(
    run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    fill(run_dir, "wandb", tmp_path / "out")
    fill(run_dir, "wandb", tmp_path / "out")
    assert len(list((tmp_path / "out" / "wandb").iterdir())) == 1
    run, recorded = fake.runs[-1], rows(run_dir)
    assert run.config["lr"] == 0.003
    assert run.axes == {"step": None, "*": "step"}
    steps = [point for point in run.history if "step/train/loss" in point]
    assert [point["step"] for point in steps] == recorded["step"].tolist()
    assert [point["_timestamp"] for point in steps] == recorded["time"].tolist()
    assert [point["step/train/loss"] for point in steps] == recorded["train/loss"].tolist()
    odd = [point["odd"] for point in run.history if "odd" in point]
    assert np.array_equal(odd, [NAN, INF, -INF], equal_nan=True)
    texts = [point["note"] for point in run.history if "note" in point]
    assert texts == [("html", "<pre>said &quot;this&quot;,\nand that</pre>")]
    assert [p["red"] for p in run.history if "red" in p] == [("image", str(run_dir / "media/red_1.png"))]
    assert run.summary["run/status"] == "finished"
    assert run.exit_code == 0


def test_mlflow_gets_every_value_and_one_run(run_dir: Path, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    fill(run_dir, "mlflow", tmp_path / "out")
    fill(run_dir, "mlflow", tmp_path / "out")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'out' / 'mlflow.db'}")
    (experiment,) = [found for found in client.search_experiments() if found.name == "tui-trainer"]
    (run,) = client.search_runs([experiment.experiment_id])
    recorded = rows(run_dir)
    points = client.get_metric_history(run.info.run_id, "step/train/loss")
    assert [point.step for point in points] == recorded["step"].tolist()
    assert [point.value for point in points] == recorded["train/loss"].tolist()
    odd = [point.value for point in client.get_metric_history(run.info.run_id, "odd")]
    assert math.isnan(odd[0])
    assert odd[1] > 1e300
    assert run.data.params["lr"] == "0.003"
    assert run.info.status == "FINISHED"


# ---------------------------------------------------------------- names


def test_a_logger_is_refused_where_it_is_unknown_or_its_package_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert named("csv, csv") == ["csv"]
    with pytest.raises(UsageError, match="did you mean tensorboard"):
        named("csv,tensorbord")
    with pytest.raises(UsageError, match="the list is empty"):
        named(",")
    # W&B leaves a folder `wandb` where it is used: that is no package.
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.delitem(sys.modules, "wandb")
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    sys.path_importer_cache.clear()
    with pytest.raises(UsageError, match="wandb is missing") as caught:
        named("wandb")
    assert caught.value.hint == "pip install 'tui-trainer[wandb]'"


def test_deleting_a_run_deletes_what_was_made_of_it(tmp_path: Path) -> None:
    from tui_trainer.runs.manage import delete_run

    layout = finished(tmp_path / "it", epochs=1)
    fill(layout.root, "csv")
    assert delete_run(layout)
