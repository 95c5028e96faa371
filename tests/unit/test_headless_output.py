"""What `watch` prints while a run is recorded: all modes, from run directories without training."""

from __future__ import annotations

import io
import json
import math
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pytest

from tui_trainer.headless import closing_text, watch
from tui_trainer.headless.plain import PlainPrinter
from tui_trainer.headless.sink import Sink
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.writer import RunWriter

NAME = "20261123-031415-digits-7f3a"
HPARAMS = {"task": "digits", "epochs": 3, "batch_size": 32}


class Run:
    """Writes a run as the engine does."""

    def __init__(self, folder: Path, epochs: int = 3, steps: int = 4) -> None:
        self.layout = RunLayout(folder / NAME)
        self.writer = RunWriter.create(self.layout, {"task": "digits"}, HPARAMS | {"epochs": epochs})
        self.epochs, self.steps, self.step = epochs, steps, 0

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "task": "digits",
            "hparams": HPARAMS | {"epochs": self.epochs},
            "device": "cpu",
            "device_name": "CPU",
            "device_reason": "cpu, 2 threads, no GPU that torch can use",
            "world_size": 1,
            "parameters": 42762,
            "train_samples": 1437,
            "test_samples": 360,
            "steps_per_epoch": self.steps,
            "total_steps": self.steps * self.epochs,
            "epochs": self.epochs,
            "monitor": "test/loss",
            "directions": {"test/loss": "min"},
        }

    def start(self) -> None:
        self.writer.event("phase", name="loading data")
        self.writer.event("phase", name="loading data", seconds=0.2)
        self.writer.event("run_start", run_dir=str(self.layout.root), **self.facts)

    def row(self, epoch: int, loss: float = 0.5) -> None:
        self.step += 1
        place = {"step": self.step, "epoch": epoch - 1 + (self.step % self.steps) / self.steps, "lr": 1e-3}
        rest = {"time": time.time(), "samples_per_s": 12300.0, "train/loss": loss, "train/loss_min": loss}
        self.writer.row({**place, **rest})

    def epoch(self, epoch: int, metrics: dict[str, float] | None = None, best: bool = True) -> None:
        self.writer.event("epoch_start", epoch=epoch, step=self.step)
        for _ in range(self.steps):
            self.row(epoch)
        metrics = metrics or {
            "train/loss": 1 / epoch,
            "test/loss": 2 / epoch,
            "test/accuracy": 1 - 0.1 / epoch,
        }
        facts = (
            {"best": {"metric": "test/loss", "value": metrics.get("test/loss", 0.0), "epoch": epoch}}
            if best
            else {}
        )
        self.writer.event(
            "epoch_end",
            epoch=epoch,
            step=self.step,
            metrics=metrics,
            lr=1e-3,
            seconds=0.41,
            samples_per_s=12300.4,
            improved=best,
            **facts,
        )

    def end(
        self, status: str = "finished", reason: str = "all epochs done", epochs: int | None = None
    ) -> None:
        facts = {"epochs": self.epochs if epochs is None else epochs, "steps": self.step}
        self.writer.event("run_end", status=status, reason=reason, **facts)
        self.writer.close(status=status, reason=reason)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    run.writer.close()


def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """Wait for a condition of another thread."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "condition not reached"
        time.sleep(0.005)


@contextmanager
def shown(run: Run, mode: Any, out: IO[str], **options: Any) -> Iterator[None]:
    with watch(mode, out=out, interval=0.01, **options)(run.layout.root, run.writer):
        yield


def printed(run: Run, mode: Any = "plain", work: Callable[[], None] | None = None, **options: Any) -> str:
    """What is printed of a whole run."""
    out = io.StringIO()
    with shown(run, mode, out, **options):
        if work is not None:
            work()
        else:
            run.start()
            for epoch in range(1, run.epochs + 1):
                run.epoch(epoch)
            run.end()
    return out.getvalue()


def alerts(run: Run) -> list[dict[str, Any]]:
    lines = run.layout.events.read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == "alert"]


class Terminal:
    """A pseudo-terminal whose output is kept."""

    def __init__(self, columns: int = 80) -> None:
        import fcntl
        import struct
        import termios

        self._far, near = pty.openpty()
        fcntl.ioctl(near, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.stream = os.fdopen(near, "w")
        self._data = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._far, 65536)
            except OSError:
                return
            if not data:
                return
            self._data += data

    def text(self) -> str:
        self.stream.close()
        self._thread.join(5)
        os.close(self._far)
        return self._data.decode()


# ---------------------------------------------------------------------- json


def test_json_lines_are_those_of_the_record(run: Run) -> None:
    text = printed(run, "json")
    assert text.encode() == run.layout.events.read_bytes()
    assert json.loads(text.splitlines()[-1])["event"] == "run_end"


def test_json_of_a_resumed_run_begins_with_what_this_process_did(run: Run) -> None:
    old = resumed_at_2(run)
    out = io.StringIO()
    with shown(run, "json", out):
        go_on(run)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert run.layout.events.read_bytes() == old + out.getvalue().encode()
    assert lines[0]["event"] == "run_resume"
    assert lines[-1]["event"] == "run_end"


def test_json_keeps_other_prints_out_of_stdout(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with open(tmp_path / "out", "w") as out, open(tmp_path / "err", "w") as err:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(sys, "stderr", err)
        with watch("json")(run.layout.root, run.writer):
            run.start()
            print("a task's print")
            os.write(out.fileno(), b"a library's write\n")
            run.end()
        print("after")
    monkeypatch.undo()
    lines = (tmp_path / "out").read_text().splitlines()
    assert lines.pop() == "after"
    assert "\n".join(lines) + "\n" == run.layout.events.read_text()
    assert (tmp_path / "err").read_text().splitlines() == ["a library's write", "a task's print"]


# ---------------------------------------------------------------------- plain


def test_plain_says_what_is_trained_and_each_epoch(run: Run) -> None:
    lines = printed(run).splitlines()
    text = "\n".join(lines)
    for part in (NAME, "1,437 train samples", "360 test samples", "42,762 parameters", "4 an epoch × 3 = 12"):
        assert part in text
    assert "CPU (cpu, 2 threads, no GPU that torch can use)" in text
    epochs = [line for line in lines if line.startswith("epoch ")]
    assert len(epochs) == 3
    numbers = "train/loss 0.3333  test/loss 0.6667  test/accuracy 0.9667"
    assert epochs[2] == f"epoch 3/3  step 12  {numbers}  0.4 s  12,300 samples/s  ★ best"


def test_plain_output_has_no_control_codes_whatever_the_run_holds(run: Run) -> None:
    def work() -> None:
        run.start()
        run.epoch(1, {"test/\x1b[31mloss": 1.0, "train/loss\r\x07": math.nan})
        run.writer.event("log", name="sample\x1b]0;x\x07", text="one\x1b[2Jtwo\r\n\tthree\x9b5m")
        run.writer.event("alert", level="warning", title="\x1b[1mbad", message="line\nline\x00")
        run.end(reason="\x1b[5mwhy")

    text = printed(run, work=work)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    assert "onetwo" in text
    assert "warning: bad: line line" in text


def test_non_finite_metrics_are_named_and_absent_ones_left_out(run: Run) -> None:
    def work() -> None:
        run.start()
        run.epoch(1, {"train/loss": math.nan, "test/loss": math.inf}, best=False)
        run.end()

    text = printed(run, work=work)
    assert "train/loss NaN  test/loss inf" in text
    assert "accuracy" not in text


def test_many_and_long_metrics_leave_a_readable_line(run: Run) -> None:
    metrics = {f"test/{'very_' * 20}long_{k}": float(k) for k in range(40)} | {"test/loss": 0.25}

    def work() -> None:
        run.start()
        run.epoch(1, metrics)
        run.end()

    line = next(line for line in printed(run, work=work).splitlines() if line.startswith("epoch 1"))
    assert len(line) <= 320
    assert "test/loss 0.2500" in line
    assert re.search(r"\+\d+ more", line)


def test_epoch_checkpoints_need_no_line_and_midway_ones_get_one(run: Run) -> None:
    def work() -> None:
        run.start()
        run.writer.event("checkpoint", epoch=0, batch=2, step=2, path="checkpoints/model_0+2.pt", best=False)
        run.epoch(1)
        run.writer.event("checkpoint", epoch=1, batch=0, step=4, path="checkpoints/model_1.pt", best=True)
        run.end()

    text = printed(run, work=work)
    assert "checkpoint  checkpoints/model_0+2.pt  step 2" in text
    assert "model_1.pt" not in text


@pytest.mark.parametrize(("epochs", "steps"), [(10_000, 1), (1_000, 10), (10, 1_000)])
def test_ten_thousand_steps_fit_in_200_kb(tmp_path: Path, epochs: int, steps: int) -> None:
    run = Run(tmp_path, epochs, 1)

    def work() -> None:
        run.start()
        run.steps = 1
        for epoch in range(1, epochs + 1):
            for step in range(0, steps - 1, 10):
                run.writer.event(
                    "checkpoint", epoch=epoch - 1, step=step, path=f"checkpoints/model_{epoch}+{step}.pt"
                )
                run.writer.event("evaluation", epoch=epoch, step=step, metrics={"test/loss": 1.0})
            run.epoch(epoch)
            run.writer.event("log", name="sample", text="to be or not to be\n" * 20)
        run.end()

    text = printed(run, work=work)
    assert 20_000 < len(text.encode()) <= 200_000
    assert f"epoch {epochs:,}/{epochs:,}" in text
    assert "more left out here" in text


def test_what_a_task_prints_appears_as_whole_lines(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with watch("plain", interval=0.01)(run.layout.root, run.writer):
        run.start()
        print("half a", end="")
        run.epoch(1)
        print(" line\n 10 %\r 100 %\nrest", end="")
        run.end()
    assert sys.stdout is out
    lines = out.getvalue().splitlines()
    assert "half a line" in lines
    assert " 100 %" in lines
    assert "rest" in lines


def test_quiet_prints_nothing(run: Run) -> None:
    assert printed(run, "quiet") == ""


# ---------------------------------------------------------------------- the end


def test_the_closing_table_is_the_record(run: Run) -> None:
    text = printed(run)
    rows = {
        line.split()[0]: line.split()[1:]
        for line in text.splitlines()
        if line.startswith(("train/", "test/"))
    }
    assert rows == {
        "train/loss": ["0.3333", "@3", "0.3333"],
        "test/loss": ["0.6667", "@3", "0.6667"],
        "test/accuracy": ["0.9667", "@3", "0.9667"],
    }
    assert "finished: 3 epochs, 12 steps" in text
    closing = closing_text(run.layout.root).splitlines()[1:]
    assert text.splitlines()[-len(closing) :] == closing


def test_the_closing_names_the_checkpoints_and_the_shortest_resume(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUI_TRAIN_RUNS", str(tmp_path))
    entries = [
        {"tag": tag, "epoch": int(tag), "batch": 0, "best": tag == "2", "last": tag == "3"} for tag in "123"
    ]
    monkeypatch.setattr("tui_trainer.runs.reader.RunReader.checkpoints", lambda self: entries)

    def work() -> None:
        run.start()
        run.epoch(1)
        run.end("stopped", "SIGINT", epochs=1)

    lines = printed(run, work=work).splitlines()
    assert "stopped by request at epoch 1, step 4" in lines[-9]
    assert lines[-4:] == [
        f"run     {NAME}",
        f"best    {NAME}/checkpoints/model_2.pt",
        f"last    {NAME}/checkpoints/model_3.pt",
        "resume  tui-train --resume 7f3a",
    ]


def test_a_run_elsewhere_is_resumed_by_its_path(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TUI_TRAIN_RUNS", str(tmp_path / "none"))
    entry = {"tag": "3", "epoch": 3, "batch": 0, "last": True}
    monkeypatch.setattr("tui_trainer.runs.reader.RunReader.checkpoints", lambda self: [entry])
    assert printed(run).splitlines()[-1] == f"resume  tui-train --resume {run.layout.root} --epochs 6"


def test_a_failure_is_explained_once(run: Run) -> None:
    def work() -> None:
        run.start()
        run.epoch(1)
        run.writer.event(
            "alert", level="error", title="loss is not finite", message="at step 4", hint="lower lr"
        )
        run.end("failed", "loss is not finite: at step 4", epochs=1)

    text = printed(run, work=work)
    assert text.count("loss is not finite: at step 4") == 1
    assert "error: loss is not finite: at step 4 (lower lr)" in text
    assert "failed at epoch 1, step 4" in text


def test_what_a_run_dies_of_is_left_to_the_command(run: Run) -> None:
    def work() -> None:
        run.start()
        run.epoch(1)
        run.writer.event("alert", level="error", fatal=True, title="out of memory", message="asked for 3 GB")
        run.end("failed", "out of memory: asked for 3 GB", epochs=1)

    text = printed(run, work=work)
    assert "out of memory" not in text
    assert "failed at epoch 1, step 4" in text


def test_a_start_that_never_trained_names_no_folder_at_the_end(run: Run) -> None:
    text = printed(run, work=lambda: run.end("stopped", "SIGTERM", epochs=0))
    assert text.splitlines() == [f"digits · {NAME} · stopped by SIGTERM before the first step"]


# ---------------------------------------------------------------------- resuming


def resumed_at_2(run: Run) -> bytes:
    """Two epochs by one process, then another one that has just begun. Returns the record so far."""
    run.start()
    run.epoch(1)
    run.epoch(2)
    position = run.writer.position()
    run.writer.close()
    run.writer = RunWriter.resume(run.layout, {"task": "digits"}, HPARAMS, position)
    return run.layout.events.read_bytes()


def go_on(run: Run) -> None:
    run.writer.event("run_resume", step=8, epoch=2, checkpoint="checkpoints/model_2.pt", **run.facts)
    run.epoch(3, {"train/loss": 0.7, "test/loss": 9.0}, best=False)
    run.end()


def test_a_resumed_run_tells_only_what_is_new_and_counts_what_was(run: Run) -> None:
    resumed_at_2(run)
    text = printed(run, work=lambda: go_on(run))
    assert "resumed from model_2.pt at epoch 2, step 8" in text
    assert [line[:9] for line in text.splitlines() if line.startswith("epoch ")] == ["epoch 3/3"]
    assert re.search(r"test/loss +1.0000 @2 +9.0000", text)


def test_a_forked_run_says_where_it_began_and_counts_only_its_own_steps(run: Run) -> None:
    parent = {"run_id": "20261123-020000-digits-11aa", "run_dir": "../x", "checkpoint": "2", "step": 8}
    run.step = 8

    def work() -> None:
        run.writer.event("run_start", parent=parent, step=8, epoch=2, batch=0, **run.facts)
        run.epoch(3)
        run.end()

    text = printed(run, work=work)
    assert "forked  from 11aa@2 at epoch 2, step 8" in text
    assert [line[:9] for line in text.splitlines() if line.startswith("epoch ")] == ["epoch 3/3"]


# ---------------------------------------------------------------------- a reader that is gone, slow, or a bug


@pytest.mark.parametrize("mode", ["json", "plain"])
def test_a_broken_pipe_is_one_alert_and_the_run_goes_on(run: Run, mode: str) -> None:
    reading, writing = os.pipe()
    out = os.fdopen(writing, "w")
    os.close(reading)
    with shown(run, mode, out):
        run.start()
        until(lambda: bool(alerts(run)))
        for epoch in (1, 2, 3):
            run.epoch(epoch)
        run.end()
    assert [alert["title"] for alert in alerts(run)] == ["output closed"]
    assert json.loads(run.layout.events.read_text().splitlines()[-1])["event"] == "run_end"
    # What the task prints itself meets no broken pipe either.
    print("more", file=out, flush=True)
    out.close()


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_a_record_that_can_not_be_written_is_told_on_stderr(
    run: Run, mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(run, mode, io.StringIO()):
        run.start()
        run.writer.trouble_with("checkpoints", "No space left on device")
        said = ""

        def heard(text: str) -> bool:
            nonlocal said
            said += capsys.readouterr().err
            return text in said

        until(lambda: heard("warning: checkpoints: No space left on device: training goes on"))
        run.writer.trouble_with("checkpoints", None)
        until(lambda: heard("warning: the run directory is written again"))
        run.end()
    assert said.count("warning") == 2


def test_a_terminal_that_is_gone_is_one_alert(run: Run) -> None:
    far, near = pty.openpty()
    out = os.fdopen(near, "w")
    os.close(far)
    with shown(run, "rich", out, width=80):
        run.start()
        until(lambda: bool(alerts(run)))
        run.epoch(1)
        run.end()
    assert [alert["title"] for alert in alerts(run)] == ["output closed"]
    out.close()


def test_a_pipe_that_breaks_after_the_end_adds_nothing_to_the_record(run: Run) -> None:
    reading, writing = os.pipe()
    out = os.fdopen(writing, "w")
    os.close(reading)
    run.start()
    run.writer.event("run_end", status="finished", reason="", epochs=0, steps=0)
    with shown(run, "json", out):
        pass
    assert alerts(run) == []
    out.close()


def test_a_blocked_reader_stalls_nobody_and_loses_nothing(run: Run) -> None:
    reading, writing = os.pipe()
    out = os.fdopen(writing, "w")
    received = bytearray()

    def read() -> None:
        while data := os.read(reading, 65536):
            received.extend(data)

    reader = threading.Thread(target=read)
    with shown(run, "json", out):
        run.start()
        begin = time.monotonic()
        for k in range(2000):
            run.writer.event("log", name="filler", text="x" * 200, step=k)
        run.end()
        assert time.monotonic() - begin < 5.0
        # More than a pipe holds is on its way; only now somebody reads.
        reader.start()
    out.close()
    reader.join(10)
    os.close(reading)
    assert bytes(received) == run.layout.events.read_bytes()


@pytest.mark.parametrize("mode", ["plain", "rich"])
def test_a_bug_in_the_output_is_one_alert(run: Run, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, event: Any) -> Any:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("tui_trainer.headless.story.Story.tell", fail)
    terminal = Terminal()
    with shown(run, mode, terminal.stream):
        run.start()
        until(lambda: bool(alerts(run)))
        run.epoch(1)
        run.end()
    found = alerts(run)
    assert [alert["title"] for alert in found] == ["output failed"]
    assert "ZeroDivisionError: a bug" in found[0]["message"]
    assert "\x1b[?25l" not in terminal.text().rpartition("\x1b[?25h")[2]


PROGRAM = """
import sys
from pathlib import Path
from tui_trainer.headless import watch
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.writer import RunWriter
writer = RunWriter.create(RunLayout(Path(sys.argv[2])), {}, {})
with watch(sys.argv[1], interval=0.01)(writer.layout.root, writer):
    while '"alert"' not in writer.layout.events.read_text():
        writer.event("log", name="a", text="b")
    print("a task's print")
    writer.event("run_end", status="finished")
    writer.close()
print("the caller's print")
"""


@pytest.mark.parametrize("mode", ["json", "plain"])
def test_a_broken_pipe_leaves_no_trace_at_exit(mode: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-c", PROGRAM, mode, str(tmp_path / NAME)]
    process = subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    os.close(reading)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors.replace("a task's print\n", "") == ""


IMPATIENT = """
import sys
from pathlib import Path
from tui_trainer.headless import watch
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.writer import RunWriter
writer = RunWriter.create(RunLayout(Path(sys.argv[1])), {}, {})
with watch("json", interval=0.01)(writer.layout.root, writer):
    for k in range(2000):
        writer.event("log", name="filler", text="x" * 200)
    writer.event("run_end", status="finished")
    writer.close()
    print("leaving", file=sys.stderr, flush=True)
sys.exit(7)
"""


def test_ctrl_c_at_the_end_gives_up_the_rest_of_the_output_only(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    command = [sys.executable, "-c", IMPATIENT, str(tmp_path / NAME)]
    process = subprocess.Popen(command, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert process.stderr is not None
    assert process.stderr.readline() == "leaving\n"
    # Nobody reads, so it waits in the output until it is told not to.
    end = time.monotonic() + 10
    while process.poll() is None and time.monotonic() < end:
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
    assert process.returncode in (7, -signal.SIGINT, 1)
    assert "Fatal Python error" not in process.stderr.read()
    process.stderr.close()
    os.close(reading)


def test_a_full_line_is_written_to_a_pipe_that_does_not_block() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    sink = Sink(os.fdopen(writing, "w"))
    received = bytearray()

    def read() -> None:
        while len(received) < 300_000:
            received.extend(os.read(reading, 65536))

    thread = threading.Thread(target=read)
    thread.start()
    sink.write("x" * 300_000)
    thread.join(10)
    os.close(reading)
    assert sink.error is None
    assert len(received) == 300_000


def test_what_an_encoding_lacks_is_spelled_in_ascii(tmp_path: Path) -> None:
    with open(tmp_path / "out", "w", encoding="ascii") as out:
        Sink(out).write("★ best · 3×4 … é\n")
    assert (tmp_path / "out").read_text() == "* best - 3x4 ... ?\n"


# ---------------------------------------------------------------------- a terminal


def on_terminal(run: Run, columns: int, epochs: int = 3) -> str:
    terminal = Terminal(columns)
    with shown(run, "rich", terminal.stream, width=columns):
        run.start()
        for epoch in range(1, epochs + 1):
            run.epoch(epoch)
            # The bars must have been drawn in this epoch.
            size = len(terminal._data)
            until(lambda size=size: len(terminal._data) > size + 40)  # type: ignore[misc]
        run.end()
    return terminal.text()


@pytest.mark.parametrize("columns", [200, 80, 38, 12, 1])
def test_bars_fit_the_terminal_and_leave_it_clean(run: Run, columns: int) -> None:
    text = on_terminal(run, columns)
    assert alerts(run) == []
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    before_closing = text.partition("\x1b[?25h")[0]
    visible = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", before_closing)
    for line in re.split(r"[\r\n]+", visible):
        assert len(line) <= columns
    if columns >= 38:
        for epoch in (1, 2, 3):
            # Kept once; the bars repeat `epoch 1/3` with a bar behind it.
            assert len(re.findall(rf"epoch {epoch}/3  \D*t", visible)) == 1
        assert "━" in visible
        assert "samples/s" in visible or columns < 80


def test_the_closing_on_a_terminal_has_the_numbers_of_the_others(run: Run) -> None:
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", on_terminal(run, 120)).replace("\r\n", "\n")
    closing = closing_text(run.layout.root).splitlines()[1:]
    assert text.splitlines()[-len(closing) :] == closing
    assert "epoch 3/3  step 12  train/loss 0.3333  test/loss 0.6667  test/accuracy 0.9667  0.4 s" in text


def test_no_color_is_honoured(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", on_terminal(run, 80))


def test_prints_of_a_task_go_above_the_bars(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(80)
    monkeypatch.setattr(sys, "stdout", terminal.stream)
    with watch("rich", interval=0.01)(run.layout.root, run.writer):
        run.start()
        run.epoch(1)
        print("seen by the task")
        run.end()
    assert sys.stdout is terminal.stream
    monkeypatch.undo()
    assert "seen by the task\r\n" in terminal.text()


# ---------------------------------------------------------------------- time, without waiting


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def plain_printer(run: Run, clock: Clock) -> tuple[PlainPrinter, io.StringIO, Callable[[], None]]:
    from tui_trainer.headless.story import Story
    from tui_trainer.headless.tail import EventTail
    from tui_trainer.runs.reader import RunReader

    reader, out, tail = RunReader(run.layout.root), io.StringIO(), EventTail(run.layout)
    story = Story(reader, tail.earlier(), lambda: 160, clock)
    printer = PlainPrinter(Sink(out), story, reader, None, clock)
    return printer, out, lambda: printer.show(tail.read())


def test_a_silent_run_says_every_half_minute_that_it_lives(run: Run) -> None:
    clock = Clock()
    _, out, look = plain_printer(run, clock)
    run.start()
    run.writer.event("epoch_start", epoch=1, step=0)
    run.row(1)
    run.writer.flush()
    look()
    size = len(out.getvalue())
    clock.now += 29
    look()
    assert out.getvalue()[size:] == ""
    run.row(1, loss=0.25)
    run.writer.flush()
    clock.now += 2
    look()
    assert out.getvalue()[size:] == "step 2/12  train/loss 0.2500  ETA 05:10\n"
    run.writer.event("control", action="pause", step=2)
    look()
    clock.now += 31
    look()
    assert out.getvalue().endswith("paused at step 2/12  train/loss 0.2500\n")


def test_only_long_phases_are_told(run: Run) -> None:
    clock = Clock()
    _, out, look = plain_printer(run, clock)
    run.writer.event("phase", name="loading data")
    look()
    assert out.getvalue() == ""
    clock.now += 6
    look()
    assert out.getvalue() == "loading data …\n"
    clock.now += 31
    look()
    assert out.getvalue().splitlines()[1].startswith("loading data … 3")
    run.writer.event("phase", name="loading data", seconds=41.2)
    run.writer.event("phase", name="building the model")
    run.writer.event("phase", name="building the model", seconds=0.1)
    look()
    assert out.getvalue().splitlines()[2:] == ["loading data: 41 s"]


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_a_run_that_goes_back_is_told_on_from_there(run: Run, mode: str) -> None:
    out = io.StringIO()
    with shown(run, mode, out):
        run.start()
        run.epoch(1)
        position = run.writer.position()
        run.epoch(2)
        told = '{"event":"epoch_end"' if mode == "json" else "epoch "
        until(lambda: sum(line.startswith(told) for line in out.getvalue().splitlines()) == 2)
        run.writer.rewind(position)
        run.step = run.steps
        run.writer.event("run_resume", step=run.step, epoch=1, checkpoint="checkpoints/model_1.pt")
        run.epoch(2)
        run.epoch(3)
        run.end()
    if mode == "json":
        told = [json.loads(line) for line in out.getvalue().splitlines()]
        assert [event["epoch"] for event in told if event["event"] == "epoch_end"] == [1, 2, 2, 3]
        assert told[-1]["event"] == "run_end"
    else:
        lines = out.getvalue().splitlines()
        assert sum(line.startswith("run     ") and NAME in line for line in lines[:-4]) == 1
        assert "resumed from model_1.pt at epoch 1, step 4" in lines
