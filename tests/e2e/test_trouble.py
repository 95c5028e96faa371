"""When something goes wrong in the middle: what is kept, and what is said."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.e2e.conftest import Done, events, only_run, wait_for

Run = Callable[..., Done]

TASK = """
import torch
from torch.utils.data import Dataset
from tui_trainer import Task


class Items(Dataset):
    def __init__(self, first, count, bad=None):
        self.first, self.count, self.bad = first, count, bad

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index == self.bad:
            raise ValueError(f"bad sample {index}")
        generator = torch.Generator().manual_seed(self.first + index)
        return torch.randn(4, generator=generator), index % 2


class Mine(Task):
    def datasets(self, hparams):
        return Items(0, 96, TRAIN_BAD), Items(1000, 64, TEST_BAD)

    def model(self, hparams):
        return torch.nn.Linear(4, 2)
"""


def write_task(folder: Path, train_bad: int | None = None, test_bad: int | None = None) -> None:
    text = TASK.replace("TRAIN_BAD", str(train_bad)).replace("TEST_BAD", str(test_bad))
    (folder / "mine.py").write_text(text)


@pytest.mark.slow
def test_the_cause_of_a_failure_in_a_loader_process_is_named_and_kept(start: Any, folder: Path) -> None:
    write_task(folder, train_bad=77)
    process = start(
        "--no-ui", "mine.py", "--num_workers", 2, "--batch_size", 8, "--checkpoint_every", "1steps"
    )
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert re.search(
        r"error: training failed: ValueError in step \d+, in a loader process: bad sample 77", err
    )
    assert re.search(r"mine\.py:[0-9]+\)", err)
    log = only_run(folder) / "console.log"
    assert str(log.relative_to(folder)) in err
    assert "bad sample 77" in log.read_text()
    assert out.count("bad sample 77") == 0


def test_a_bad_test_sample_costs_no_trained_epoch(start: Any, tui_train: Run, folder: Path) -> None:
    write_task(folder, test_bad=60)
    process = start("--no-ui", "mine.py", "--epochs", 2, "--num_workers", 0)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "bad sample 60" in err
    run = only_run(folder)
    assert [path.name for path in run.glob("checkpoints/model_*.pt")] == ["model_0+3.pt"]
    write_task(folder)
    resumed = tui_train("--no-ui", "--resume", "last")
    assert resumed.code == 0, resumed.err
    assert re.search(r"warning: mine.py has changed since run .* began \(1 line differs\)", resumed.err)
    assert tui_train("--no-ui", "mine.py", "--epochs", 2, "--run-dir", "whole", "--quiet").code == 0
    one, other = (
        torch.load(root / "checkpoints/model_2.pt", weights_only=True) for root in (run, folder / "whole")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_without_a_checkpoint_says_that_it_starts_again(
    start: Any, tui_train: Run, folder: Path
) -> None:
    write_task(folder, train_bad=95)
    process = start("--no-ui", "mine.py", "--batch_size", 8, "--num_workers", 0)
    assert process.wait(120) == 1
    write_task(folder)
    done = tui_train("--no-ui", "--resume", "last", "--epochs", 1)
    assert done.code == 0, done.err
    assert "no checkpoint in this run: training starts from its beginning" in done.out


@pytest.mark.slow
def test_the_first_ctrl_c_is_acknowledged_and_the_second_says_that_nothing_was_saved(
    start: Any, folder: Path
) -> None:
    (folder / "slow.py").write_text(
        "import time\nimport torch\nfrom tui_trainer import Task\n\n\nclass Slow(Task):\n"
        "    def datasets(self, hparams):\n        return torch.randn(64, 4), torch.arange(64) % 2\n\n"
        "    def model(self, hparams):\n        return torch.nn.Linear(4, 2)\n\n"
        "    def compute_loss(self, model, batch, criterion):\n        if model.training:\n"
        "            time.sleep(1)\n        return super().compute_loss(model, batch, criterion)\n"
    )
    process = start("--no-ui", "slow.py", "--batch_size", 4, "--log_rate", 0)
    wait_for(lambda: any(path.stat().st_size for path in folder.glob("runs/*/steps.f64")), "the first row")
    process.send_signal(signal.SIGINT)
    assert "stopping after this step, then saving" in process.stderr.readline()
    for _ in range(10):
        # The second one leaves; what follows tears nothing.
        process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "without saving: what came after the last checkpoint is lost" in out
    record = events(only_run(folder))
    assert record[-1]["reason"] == "SIGINT, without saving"
    assert not any(event["event"] == "checkpoint" for event in record)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("loader", ["ours", "own", "iterable"])
def test_a_signal_to_the_whole_group_still_saves_with_loader_processes(
    number: signal.Signals, loader: str, start: Any, folder: Path
) -> None:
    own = (
        "\n    def dataloader(self, hparams, dataset, train):\n"
        "        from torch.utils.data import DataLoader\n"
        "        return DataLoader(dataset, batch_size=4, num_workers=2)\n"
    )
    stream = (
        "\n\nfrom torch.utils.data import IterableDataset\n\n\nclass Stream(IterableDataset):\n"
        "    def __iter__(self):\n        items = Items(0, 2000)\n"
        "        return (items[i] for i in range(2000))\n\n\n"
        "Mine.datasets = lambda self, hparams: (Stream(), Items(1000, 64))\n"
    )
    write_task(folder)
    text = (folder / "mine.py").read_text().replace("Items(0, 96, None)", "Items(0, 4000)")
    text = text.replace("            raise", "            raise").replace(
        "        generator =", "        import time\n        time.sleep(0.002)\n        generator ="
    )
    (folder / "mine.py").write_text(text + {"ours": "", "own": own, "iterable": stream}[loader])
    words = ["--no-ui", "mine.py", "--num_workers", 2, "--batch_size", 4, "--log_rate", 0, "--quiet"]
    process = start(*words, start_new_session=True)
    wait_for(lambda: any(path.stat().st_size for path in folder.glob("runs/*/steps.f64")), "the first row")
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else 143), err
    assert "Traceback" not in err
    run = only_run(folder)
    assert list(run.glob("checkpoints/model_0+*.pt"))
    assert events(run)[-1]["status"] == "stopped"


def test_output_in_a_poor_locale_or_to_a_full_disk_costs_no_traceback(start: Any, folder: Path) -> None:
    poor = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    process = start("--help", env=poor)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert "usage: tui-train" in out
    with open("/dev/full", "w") as full:
        process = start("presets", "list", stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert err.startswith("error: output failed: stdout: No space left on device")


def test_a_failed_resume_does_not_forget_how_far_the_run_had_come(
    start: Any, tui_train: Run, folder: Path
) -> None:
    write_task(folder)
    process = start("--no-ui", "mine.py", "--epochs", 2, "--num_workers", 0, "--quiet")
    assert process.wait(120) == 0
    (folder / "mine.py").write_text("import sys\n" + (folder / "mine.py").read_text() + "\n")
    broken = (folder / "mine.py").read_text().replace("return torch.nn.Linear(4, 2)", "sys.exit(0)")
    (folder / "mine.py").write_text(broken)
    process = start("--no-ui", "--resume", "last", "--epochs", 3, "--quiet")
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "the task called sys.exit(0)" in err
    ended = events(only_run(folder))[-1]
    assert (ended["event"], ended["status"], ended["epochs"]) == ("run_end", "failed", 2)
    assert ended["metrics"].keys() >= {"train/loss", "test/loss"}


def test_what_compute_loss_must_return_is_said(tui_train: Run, folder: Path) -> None:
    (folder / "wrong.py").write_text(
        "import torch\nfrom tui_trainer import Task\n\n\nclass Wrong(Task):\n"
        "    def datasets(self, hparams):\n        return torch.randn(64, 4), torch.arange(64) % 2\n\n"
        "    def model(self, hparams):\n        return torch.nn.Linear(4, 2)\n\n"
        "    def compute_loss(self, model, batch, criterion):\n        return model(batch[0]).mean()\n"
    )
    done = tui_train("--no-ui", "wrong.py")
    assert done.code == 1
    assert "compute_loss returned a Tensor" in done.err
    assert "return the tuple (loss, outputs, targets)" in done.err


def test_a_checkpoints_parameters_find_the_task_file_that_their_run_keeps(
    tui_train: Run, folder: Path
) -> None:
    write_task(folder)
    assert tui_train("--no-ui", "mine.py", "--epochs", 1, "--run-dir", "run", "--quiet").code == 0
    (folder / "mine.py").unlink()
    done = tui_train("--preset", "run/checkpoints/model_parameters_1.json", "--check")
    assert done.code == 0, done.err


def test_the_record_of_a_failed_run_tells_what_went_in_and_what_to_do(tui_train: Run, folder: Path) -> None:
    text = TASK.replace("TRAIN_BAD", "None").replace("TEST_BAD", "None")
    (folder / "mine.py").write_text(
        f"{text}\n    def compute_loss(self, model, batch, criterion):\n"
        "        inputs, targets = batch\n        self.steps = getattr(self, 'steps', 0) + model.training\n"
        "        outputs = model(inputs[:, : 4 - (self.steps == 2)])\n"
        "        return criterion(outputs, targets), outputs, targets\n"
    )
    assert tui_train("--no-ui", "mine.py", "--num_workers", 0).code == 1
    (alert,) = (event for event in events(only_run(folder)) if event.get("fatal"))
    assert alert["message"].splitlines()[1] == "batch: [float32 [32, 4], int64 [32]]"
    assert "takes 4 features and got 3" in alert["hint"]
    shown = tui_train("show", "last").out
    assert "failed: training failed: RuntimeError in step 2: mat1 and mat2" in shown.splitlines()[1]
    assert "batch:" not in shown.splitlines()[1]
    assert f"\nhint: {alert['hint']}\n" in shown
