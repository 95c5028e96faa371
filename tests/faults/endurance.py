"""A training process that watches what it holds: memory, open files, threads."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil

from tui_trainer.cli.main import main


def train_and_measure(words: Sequence[str], file: str, interval_s: float) -> int:
    """Run a command line, and write a line of JSON at each interval.

    Args:
        words: of the command line.
        file: gets the lines: memory in bytes, open file descriptors, threads.
        interval_s: seconds between two of them.

    Returns:
        The exit code.
    """
    ended = threading.Event()
    process = psutil.Process()

    def watch() -> None:
        with open(file, "a") as lines:
            while not ended.wait(interval_s):
                with process.oneshot():
                    held = {
                        "memory": process.memory_info().rss,
                        "files": process.num_fds(),
                        "threads": process.num_threads(),
                    }
                print(json.dumps(held), file=lines, flush=True)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    code = main(words)
    ended.set()
    watcher.join()
    return code


def read_measured(file: Path) -> list[dict[str, int]]:
    """What `train_and_measure` wrote."""
    return [json.loads(line) for line in file.read_text().splitlines()]
