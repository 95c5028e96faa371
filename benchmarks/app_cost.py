"""What the app costs: python benchmarks/app_cost.py [--rounds 7] [--seconds 10]

Runs the real `tui-train` under a pseudo-terminal and measures, in one go:

- first paint: from the start of the process to the first screen
- keypress to frame while a run trains in the app, from the write to the text that it brings
- bytes a second on the wire in the steady state
- the training thread's speed in the app against that of the same process after it was detached from the app
- resident memory
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

TRAIN = ["--preset", "digits", "--epochs", "100000", "--checkpoint_every", "0", "--scheduler", "constant"]


class Screen:
    """A process under a pseudo-terminal whose output is counted, not shown."""

    def __init__(self, words: Sequence[str], runs: Path, width: int = 80, height: int = 24) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "OMP_NUM_THREADS": "1",
            "TUI_TRAIN_RUNS": str(runs),
            "XDG_CONFIG_HOME": str(runs / "config"),
        }
        environment.pop("TMUX", None)
        self.began = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui_trainer", *words],
            stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        os.close(slave)

    def read(self, seconds: float, until: bytes = b"") -> bytes:
        """What arrives within a time, or until some bytes are among it."""
        data, deadline = b"", time.perf_counter() + seconds
        while (left := deadline - time.perf_counter()) > 0:
            if select.select([self.master], [], [], left)[0]:
                try:
                    data += os.read(self.master, 1 << 16)
                except OSError:
                    break
                if until and until in data:
                    break
        return data

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def trainer(self) -> psutil.Process:
        """The process that trains: the launcher's child."""
        children = psutil.Process(self.process.pid).children()
        return children[0] if children else psutil.Process(self.process.pid)

    def close(self) -> None:
        for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
            process.send_signal(signal.SIGKILL)
        self.process.wait()
        os.close(self.master)


def step_rate(run_dir: Path, since_s: float) -> float:
    """Steps a second over the newest rows of a run.

    Args:
        run_dir: of a run with a step series.
        since_s: how many seconds back.
    """
    import numpy as np

    columns = json.loads((run_dir / "steps.json").read_text())["columns"]
    values = np.fromfile(run_dir / "steps.f64", dtype="<f8")
    rows = values[: len(values) // len(columns) * len(columns)].reshape(-1, len(columns))
    times, steps = rows[:, columns.index("time")], rows[:, columns.index("step")]
    first = int(np.searchsorted(times, times[-1] - since_s))
    return float((steps[-1] - steps[first]) / (times[-1] - times[first]))


def ui_seconds(process: psutil.Process) -> float:
    """Processor time of the thread that draws, the main one."""
    return next(t.user_time + t.system_time for t in process.threads() if t.id == process.pid)


def newest(runs: Path) -> Path:
    return max((path.parent for path in runs.glob("*/run.json")), key=lambda path: path.stat().st_mtime)


def first_paint(runs: Path) -> float:
    screen = Screen([], runs)
    screen.read(20, until=b"Setup")
    took = time.perf_counter() - screen.began
    screen.close()
    return took


def in_the_app(runs: Path, seconds: float, size: tuple[int, int]) -> dict[str, float]:
    screen = Screen([*TRAIN, "--start"], runs, *size)
    screen.read(30, until=b"RUNNING")
    trainer = screen.trainer()
    try:
        return measured(screen, trainer, runs, seconds)
    finally:
        # Detached, it would go on for hours.
        trainer.kill()
        os.close(screen.master)


def measured(screen: Screen, trainer: psutil.Process, runs: Path, seconds: float) -> dict[str, float]:
    screen.read(5)
    delays = []
    for shown in (b"smooth 0.6", b"smooth 0.9", b"") * 10:
        screen.read(0.4)
        begin = time.perf_counter()
        screen.press(b"m")
        if shown:
            assert shown in screen.read(5, until=shown), f"{shown!r} never came"
            delays.append(time.perf_counter() - begin)
    # Until the app draws at its own pace again.
    screen.read(5)
    before = ui_seconds(trainer)
    quiet = len(screen.read(seconds))
    share = (ui_seconds(trainer) - before) / seconds
    rate, memory = step_rate(newest(runs), seconds), trainer.memory_info().rss
    # The same process, model and data; only the app is gone.
    screen.press(b"q")
    screen.read(5, until=b"detach: it goes on")
    screen.press(b"d")
    # Read until nobody holds the terminal any more: an app that leaves waits for what it has written.
    screen.read(20, until=b"training goes on")
    screen.process.wait(20)
    time.sleep(1 + seconds)
    alone = step_rate(newest(runs), seconds)
    return {
        "ratio": rate / alone,
        "steps_per_s": rate,
        "ui_percent": 100 * share,
        "bytes_per_s": quiet / seconds,
        "key_ms": 1000 * statistics.median(delays),
        "key_ms_worst": 1000 * max(delays),
        "rss_mb": memory / 1e6,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        paints = [first_paint(runs) for _ in range(5)]
        median = statistics.median(paints)
        print(f"first paint: {median:.2f} s (of 5: {min(paints):.2f} to {max(paints):.2f})")
        for size in ((80, 24), (160, 48)):
            rounds = [in_the_app(runs, args.seconds, size) for _ in range(args.rounds)]
            ratios = sorted(one["ratio"] for one in rounds)
            print(f"{size[0]}x{size[1]}, medians of {args.rounds} rounds:")
            print(
                f"  {statistics.median(ratios):.3f} of the speed without the app"
                f" ({', '.join(f'{ratio:.3f}' for ratio in ratios)})"
            )
            for name, unit in (
                ("ui_percent", "% of a core for the thread that draws"),
                ("key_ms", "ms from a key to the frame"),
                ("key_ms_worst", "ms at worst"),
                ("bytes_per_s", "bytes a second on the wire"),
                ("rss_mb", "MB resident"),
            ):
                print(f"  {statistics.median(one[name] for one in rounds):,.1f} {unit}")


if __name__ == "__main__":
    main()
