"""Rows 8, 9, 10 and 16: signals, time limits and standstills at any moment leave a whole, resumable run.

Row 9 is in tests/tmux and tests/ui/test_training.py, where there is a terminal to close.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.counting import repetitions
from tests.faults.forked import Forked, Origin
from tests.helpers import events, rows, tags
from tests.pseudo import PseudoTerminal, process_state, wait_until
from tui_trainer.files import lock_is_held
from tui_trainer.runs.reader import RunReader

LONG = ("--no-ui", "mine.py", "--num_workers", 0, "--batch_size", 8, "--epochs", 10**6)
FAST = {"STEP_S": "0.001"}
Start = Callable[..., Forked]


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    origin = Origin()
    yield origin
    origin.close()


@pytest.fixture
def start(origin: Origin, tmp_path: Path) -> Iterator[Start]:
    """Start a run of tests/faults/telling.py in a folder; whatever is left of it ends with the test."""
    shutil.copy(Path(__file__).with_name("telling.py"), tmp_path / "mine.py")
    started: list[Forked] = []

    def run(*words: object, **options: Any) -> Forked:
        started.append(origin.start(tmp_path, *(words or LONG), **options))
        return started[-1]

    yield run
    for process in started:
        process.end()


def size(file: Path) -> int:
    """How often the task did something: it leaves a byte each time."""
    return file.stat().st_size if file.exists() else 0


def after(folder: Path, name: str, count: int) -> None:
    wait_until(lambda: size(folder / name) >= count, f"{count} {name}")


def run_dir(folder: Path) -> Path:
    (found,) = (folder / "runs").iterdir()
    return found


def assert_whole(root: Path, steps: int | None = None) -> int:
    """The record of a run that was stopped is complete, and nothing of it is held. Returns its steps."""
    last = events(root)[-1]
    assert (last["event"], last["status"]) == ("run_end", "stopped")
    assert RunReader(root).run()["status"] == "stopped"
    assert not lock_is_held(root / "run.lock")
    assert not list(root.rglob("*.tmp"))
    return int(last["steps"])


def assert_saved(process: Forked, start: Start, at_most: int | None = None) -> None:
    """A run that was stopped has saved its last step, and goes on from there."""
    root = run_dir(process.folder)
    steps = assert_whole(root)
    assert "Traceback" not in process.err
    assert RunReader(root).checkpoints()[-1]["step"] == steps
    if at_most is not None:
        assert steps <= at_most
    again = start("--no-ui", "--resume", "last", "--max_steps", steps + 1, "--quiet", env=FAST)
    assert again.exit_code() == 0, again.err
    assert events(root)[-1]["steps"] == steps + 1


@pytest.mark.fault(
    8,
    "SIGTERM at random moments of training, evaluation and save",
    "saved at most a step later, exit 143, resumable",
)
@pytest.mark.parametrize("repetition", range(repetitions(20, 1)))
@pytest.mark.parametrize("place", ["batches", "tests", "save"])
def test_sigterm_saves_a_step_later_at_most(
    place: str, repetition: int, start: Start, tmp_path: Path
) -> None:
    moment = random.Random(f"{place} {repetition}").randint(3, 40)
    # The last one spends most of its time with saves.
    saving = place == "save"
    words = [*LONG, "--checkpoint_every", "1steps"] if saving else LONG
    process = start(*words, env={"STEP_S": "0" if saving else "0.01"})
    # One batch of the test set is tried before the first step.
    after(tmp_path, "batches" if saving else place, moment)
    process.kill(signal.SIGTERM)
    begun = size(tmp_path / "batches")
    assert process.exit_code() == 143
    assert_saved(process, start, begun + 1)


@pytest.mark.fault(
    8, "SIGTERM at random moments of a start", "out at once, exit 143; a saved run is left, or none"
)
@pytest.mark.parametrize("repetition", range(repetitions(40, 2)))
def test_sigterm_while_it_starts_leaves_a_saved_run_or_none(
    repetition: int, start: Start, tmp_path: Path
) -> None:
    moment = time.monotonic() + 0.6 * random.Random(repetition).random()
    process = start(*LONG, env={"STEP_S": "0.001"})
    wait_until(lambda: time.monotonic() >= moment, "the moment")
    process.kill(signal.SIGTERM)
    assert process.exit_code() == 143
    if list(tmp_path.glob("runs/*")):
        assert_saved(process, start)
    else:
        assert size(tmp_path / "batches") <= 1


@pytest.mark.fault(
    8, "SIGTERM while torch is imported", "out at once, exit 143; a saved run is left, or none"
)
@pytest.mark.slow
@pytest.mark.parametrize("repetition", range(repetitions(20, 1)))
def test_sigterm_while_it_imports_leaves_a_saved_run_or_none(
    repetition: int, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text((tmp_path / "mine.py").read_text().replace("0.02", "0.001"))
    environment = {**os.environ, "TUI_TRAIN_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}
    moment = time.monotonic() + 6.0 * random.Random(repetition).random()
    command = [sys.executable, "-m", "tui_trainer", "--no-ui", "digits", "--epochs", "1000000"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)
    wait_until(lambda: time.monotonic() >= moment, "the moment")
    process.terminate()
    # Before a line of ours runs, the signal itself ends the process.
    assert process.wait(60) in (143, -signal.SIGTERM)
    for root in tmp_path.glob("runs/*"):
        assert RunReader(root).checkpoints()[-1]["step"] == assert_whole(root)


@pytest.mark.fault(
    8, "a signal to a start that hangs in native code", "left within seconds, the record closed or taken back"
)
@pytest.mark.parametrize(
    ("place", "number", "code"),
    [
        ("data", signal.SIGTERM, 143),
        ("model", signal.SIGINT, 130),
        ("first batch", signal.SIGTERM, 143),
    ],
)
def test_a_start_that_hangs_in_native_code_is_left_and_taken_back(
    place: str, number: signal.Signals, code: int, start: Start, tmp_path: Path
) -> None:
    process = start(
        *LONG, "--on-end", "echo $TUI_TRAIN_STATUS $TUI_TRAIN_EXIT_CODE > told", env={"STUCK": place}
    )
    after(tmp_path, "stuck", 1)
    process.kill(number)
    assert process.exit_code() == code
    assert not list((tmp_path / "runs").iterdir())
    assert (tmp_path / "told").read_text() == f"stopped {code}\n"


@pytest.mark.fault(
    8, "a signal to a start that hangs in native code", "left within seconds, the record closed or taken back"
)
def test_a_chosen_folder_keeps_the_record_of_a_start_that_was_left(start: Start, tmp_path: Path) -> None:
    process = start(*LONG, "--run-dir", "here", env={"STUCK": "first batch"})
    after(tmp_path, "stuck", 1)
    process.kill(signal.SIGTERM)
    assert process.exit_code() == 143
    assert assert_whole(tmp_path / "here") == 0


@pytest.mark.fault(10, "Ctrl-C twice while a step hangs", "out without saving, the record closed")
def test_a_step_that_hangs_is_left_at_the_second_signal(start: Start, tmp_path: Path) -> None:
    process = start(*LONG, "--num_workers", 2, env={"STUCK": "step"})
    after(tmp_path, "stuck", 1)
    # Not followed, but not lost either: it does not end a run that hangs.
    process.kill(signal.SIGUSR1)
    process.kill(signal.SIGINT)
    process.kill(signal.SIGINT)
    assert process.exit_code() == 130
    root = run_dir(tmp_path)
    assert assert_whole(root) == 4
    assert events(root)[-1]["reason"] == "SIGINT, without saving"
    assert_no_loaders(tmp_path)


HUNG = (10, "a signal, or two, while a save hangs", "out without that save, the record closed")


@pytest.mark.fault(*HUNG)
def test_a_start_whose_first_save_hangs_is_left_at_one_signal(start: Start, tmp_path: Path) -> None:
    # Saved before the first step, so that there is something to go back to.
    words = (*LONG, "--on_nonfinite", "rollback", "--run-dir", "here")
    # The one test batch that is tried before is fast, as if training had begun; the first step is not.
    (tmp_path / "batches").touch()
    process = start(*words, env={"SLOW_DISK": "1", "TEST_S": "0.001", "STEP_S": "50"})
    after(tmp_path, "saves", 1)
    process.kill(signal.SIGINT)
    assert process.exit_code() == 130
    assert "does not listen" not in process.err
    assert assert_whole(tmp_path / "here") == 0


@pytest.mark.fault(*HUNG)
def test_a_save_that_hangs_is_left_at_the_second_signal(start: Start, tmp_path: Path) -> None:
    process = start(*LONG, env={"SLOW_DISK": "1"})
    after(tmp_path, "batches", 4)
    process.kill(signal.SIGINT)
    after(tmp_path, "saves", 1)
    process.kill(signal.SIGINT)
    assert process.exit_code() == 130
    assert "does not listen" not in process.err
    root = run_dir(tmp_path)
    assert assert_whole(root) >= 3
    assert events(root)[-1]["reason"] == "SIGINT, without saving"


def assert_no_loaders(folder: Path) -> None:
    """No loader process of a run is left after two seconds."""
    loaders = [int(path.name.partition("-")[2]) for path in folder.glob("loader-*")]
    # Of the training set, and maybe of the test set.
    assert len(loaders) >= 2
    wait_until(lambda: all(process_state(pid) in ("", "Z") for pid in loaders), "the loaders' end", 2)


@pytest.mark.fault(
    10, "Ctrl-C twenty times, with two loader processes", "nothing torn, no process left after 2 s"
)
@pytest.mark.parametrize("repetition", range(repetitions(20, 1)))
def test_twenty_times_ctrl_c_tears_nothing_and_leaves_no_process(
    repetition: int, start: Start, tmp_path: Path
) -> None:
    process = start(*LONG, "--num_workers", 2, "--checkpoint_every", "3steps")
    after(tmp_path, "batches", random.Random(repetition).randint(4, 20))
    for _ in range(20):
        process.kill(signal.SIGINT)
    assert process.exit_code() == 130
    root = run_dir(tmp_path)
    assert_whole(root)
    assert_no_loaders(tmp_path)
    again = start("--no-ui", "--resume", "last", "--max_steps", 30, "--quiet", env=FAST)
    assert again.exit_code() == 0, again.err
    assert "Traceback" not in process.err


@pytest.mark.fault(10, "SIGTERM twice at once, as `timeout` and `srun` send it", "one stop, which saves")
def test_a_signal_and_its_echo_to_the_group_are_one(start: Start, tmp_path: Path) -> None:
    process = start(*LONG, "--num_workers", 2)
    after(tmp_path, "batches", 4)
    # As `timeout` does it.
    process.kill(signal.SIGTERM)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.exit_code() == 143
    assert_saved(process, start)


@pytest.mark.fault(8, "SIGUSR1 at any time", "a checkpoint after this step; nothing before the first")
def test_sigusr1_saves_and_never_kills(start: Start, tmp_path: Path) -> None:
    process = start(*LONG, "--num_workers", 2, "--checkpoint_every", 0)
    wait_until(lambda: list(tmp_path.glob("runs/*/events.jsonl")), "the record")
    # To the whole group, as Slurm does it: loader processes get it, too.
    os.killpg(process.pid, signal.SIGUSR1)
    root = run_dir(tmp_path)
    [first] = wait_until(lambda: events(root, "control"), "the first save")
    after(tmp_path, "batches", int(first["step"]) + 5)
    os.killpg(process.pid, signal.SIGUSR1)
    wait_until(lambda: len(events(root, "control")) == 2, "the second save")
    assert process_state(process.pid) not in ("", "Z")
    process.kill(signal.SIGTERM)
    process.kill(signal.SIGUSR1)
    assert process.exit_code() == 143
    for event in events(root, "control")[:2]:
        assert (event["action"], event["requested_by"]) == ("save", "SIGUSR1")
        assert (root / event["path"]).is_file()
    assert len(tags(root)) == 3


@pytest.mark.fault(16, "a time limit", "saved before it, exit 143; the next start goes on")
def test_an_end_time_saves_before_it_and_the_next_start_goes_on(start: Start, tmp_path: Path) -> None:
    end = time.time() + 6.0
    words = (*LONG, "--run-dir", "here", "--resume", "auto", "--end-time", f"{end:.3f}")
    process = start(*words)
    assert process.exit_code() == 143
    root = tmp_path / "here"
    steps = assert_whole(root)
    assert events(root)[-1]["reason"].startswith("time limit 2")
    assert events(root, "checkpoint")[-1]["time"] <= end
    assert RunReader(root).checkpoints()[-1]["step"] == steps > 0
    assert "stopped by time limit" in process.out
    wait_until(lambda: time.time() > end, "the end time")
    over = start(*words)
    assert over.exit_code() == 2
    assert "error: end time is over: --end-time" in over.err
    again = start(*words[:-1], "23:59:59", "--max_steps", steps + 2, env=FAST)
    assert again.exit_code() == 0, again.err


@pytest.mark.fault(16, "a time limit", "saved before it, exit 143; the next start goes on")
def test_slurms_end_time_holds_in_an_evaluation_too(start: Start, tmp_path: Path) -> None:
    end = int(time.time()) + 8
    process = start(*LONG, env={"SLURM_JOB_END_TIME": str(end), "TEST_S": "0.3"})
    assert process.exit_code() == 143
    root = run_dir(tmp_path)
    assert size(tmp_path / "tests") > 1
    assert_whole(root)
    assert tags(root) == ["0+12"]
    assert events(root, "checkpoint")[-1]["time"] <= end


@pytest.mark.fault(16, "a time limit that leaves no time", "the start is refused")
def test_a_time_limit_before_the_first_step_is_refused(start: Start, tmp_path: Path) -> None:
    process = start(*LONG, "--end-time", f"{time.time() + 1.0}", env={"SLOW_DATA_S": "1.5"})
    assert process.exit_code() == 2
    assert "comes before the first step" in process.err
    assert not list((tmp_path / "runs").iterdir())


@pytest.mark.fault(16, "SIGSTOP for a while", "rates and times count only what was trained")
def test_a_stopped_process_loses_no_time_and_no_rate(start: Start, tmp_path: Path) -> None:
    process = start(*LONG, "--eval_every", 0, "--log_rate", 0)
    after(tmp_path, "batches", 10)
    process.kill(signal.SIGSTOP)
    wait_until(lambda: process_state(process.pid) == "T", "the standstill")
    begun, moment = size(tmp_path / "batches"), time.monotonic() + 2.5
    wait_until(lambda: time.monotonic() >= moment, "the end of the standstill")
    process.kill(signal.SIGCONT)
    after(tmp_path, "batches", begun + 10)
    process.kill(signal.SIGTERM)
    assert process.exit_code() == 143
    root = run_dir(tmp_path)
    began, ended = events(root, "run_start")[0]["time"], events(root)[-1]
    assert ended["elapsed"] < ended["time"] - began - 2.0
    series = rows(root)
    # Steps of 20 ms; one with the standstill in it would come to 8 samples in 2.5 s.
    assert series["samples_per_s"].min() > 8 / 1.5


@pytest.mark.fault(9, "stdout or stderr full or closed, a dead terminal", "training goes on, one alert")
@pytest.mark.parametrize("full", ["out", "err", "out err"])
def test_output_to_a_full_disk_is_one_alert_and_no_failure(full: str, start: Start, tmp_path: Path) -> None:
    streams = dict.fromkeys(full.split(), "/dev/full")
    # Without --no-ui it has something to say on stderr before it starts.
    words = ("mine.py", "--num_workers", 0, "--batch_size", 4, "--epochs", 2)
    process = start(*words, env={"STEP_S": "0.003"}, **streams)
    assert process.exit_code() == 0
    root = run_dir(tmp_path)
    assert events(root)[-1]["status"] == "finished"
    alerts = [event["title"] for event in events(root, "alert")]
    assert alerts == (["output closed"] if "out" in full else [])


@pytest.mark.fault(9, "stdout or stderr full or closed, a dead terminal", "training goes on, one alert")
@pytest.mark.slow
def test_closed_streams_cost_neither_the_run_nor_its_record(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("telling.py"), tmp_path / "mine.py")
    command = f"exec {sys.executable} -m tui_trainer mine.py --num_workers 0 --max_steps 2 <&- >&- 2>&-"
    environment = {**os.environ, **FAST, "TUI_TRAIN_RUNS": str(tmp_path / "runs"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, env=environment, check=False, timeout=100)
    assert done.returncode == 0
    root = run_dir(tmp_path)
    assert [event["status"] for event in events(root, "run_end")] == ["finished"]
    assert (root / "events.jsonl").read_bytes().count(b"\n") == len(events(root))


@pytest.mark.fault(9, "stdout or stderr full or closed, a dead terminal", "training goes on, one alert")
@pytest.mark.slow
def test_a_dead_terminal_is_one_alert_and_signals_still_save(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("telling.py"), tmp_path / "mine.py")
    terminal = PseudoTerminal()
    environment = {**os.environ, "TERM": "xterm", "TUI_TRAIN_RUNS": str(tmp_path / "runs")}
    process = terminal.start(["-m", "tui_trainer", *map(str, LONG)], cwd=tmp_path, env=environment)
    after(tmp_path, "batches", 3)
    terminal.hang_up()
    root = run_dir(tmp_path)
    wait_until(lambda: events(root, "alert"), "the alert")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert [event["title"] for event in events(root, "alert")] == ["output closed"]
    assert RunReader(root).checkpoints()[-1]["step"] == assert_whole(root)
    terminal.close()
