"""docs/from-your-script.md: its diffs lead to the examples, these train, its snippets do what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from tests.e2e.conftest import Done, events, only_run
from tests.helpers import Points, weights
from tests.ui.recorded import finished
from tui_trainer import train
from tui_trainer.tasks.registry import load_task

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
GUIDE = (ROOT / "docs" / "from-your-script.md").read_text()

Run = Callable[..., Done]


def fake_torchvision(samples: int = 96) -> dict[str, ModuleType]:
    """What the MNIST example takes of torchvision, giving digits of scikit-learn in MNIST's size.

    Tried by hand with the real torchvision 0.28, on IDX files.
    """
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    package, datasets, transforms = map(ModuleType, ("torchvision", "datasets", "transforms"))

    class MNIST:
        def __init__(self, root: str, train: bool, transform: Any, download: bool = False) -> None:
            self.first, self.transform = 0 if train else samples, transform

        def __len__(self) -> int:
            return samples

        def __getitem__(self, index: int) -> tuple[Any, int]:
            pixels = (digits.images[self.first + index] * 15).astype("uint8")
            image = Image.fromarray(pixels).resize((28, 28))
            return self.transform(image), int(digits.target[self.first + index])

    def to_tensor() -> Any:
        import numpy as np

        return lambda image: torch.from_numpy(np.asarray(image) / 255.0).float().unsqueeze(0)

    def compose(steps: list[Any]) -> Any:
        def apply(value: Any) -> Any:
            for step in steps:
                value = step(value)
            return value

        return apply

    datasets.MNIST = MNIST  # type: ignore[attr-defined]
    transforms.ToTensor, transforms.Compose = to_tensor, compose  # type: ignore[attr-defined]
    transforms.Normalize = lambda mean, std: lambda x: (x - mean[0]) / std[0]  # type: ignore[attr-defined]
    package.datasets, package.transforms = datasets, transforms  # type: ignore[attr-defined]
    return {"torchvision": package}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    for name, module in fake_torchvision().items():
        monkeypatch.setitem(sys.modules, name, module)


def test_there_are_examples() -> None:
    assert EXAMPLES == ["from_hf_trainer", "from_lightning", "from_pytorch_mnist", "from_template"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_guides_diff_leads_to_the_example(example: str) -> None:
    (diff,) = re.findall(rf"<!-- examples/{example}\.py -->\n```diff\n(.*?)```", GUIDE, flags=re.S)
    after = [line[1:] for line in diff.splitlines() if line[:1] in "+ " and line[1:].strip()]
    there = [line for line in (ROOT / "examples" / f"{example}.py").read_text().splitlines() if line.strip()]
    assert after
    assert there[-len(after) :] == after


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_trains_and_goes_on(example: str, tui_train: Run, folder: Path) -> None:
    words = ("--device", "cpu", "--quiet")
    done = tui_train("--no-ui", ROOT / "examples" / f"{example}.py", "--epochs", 2, *words)
    assert (done.code, done.err) == (0, "")
    assert tui_train("--no-ui", "--resume", "last", "--epochs", 3, "--quiet").code == 0
    run = only_run(folder)
    assert run is not None
    epochs = [event for event in events(run) if event["event"] == "epoch_end"]
    assert [event["epoch"] for event in epochs] == [1, 2, 3]
    losses = [event["metrics"]["train/loss"] for event in epochs]
    assert losses[-1] < losses[0]
    if example == "from_pytorch_mnist":
        assert [event["lr"] for event in epochs] == pytest.approx([1.0, 0.7, 0.49])
    if example == "from_template":
        assert epochs[-1]["metrics"]["test/accuracy"] == pytest.approx(accuracy_of_template(run))


def accuracy_of_template(run: Path) -> float:
    """Measured without any code of ours but the task's own classes."""
    task = load_task(str(ROOT / "examples" / "from_template.py"))
    names = sys.modules[type(task).__module__].__dict__
    model = names["ModelClass"](json.loads((run / "hparams.json").read_text()))
    model.load_state_dict(weights(run, 3))
    tests = names["DatasetClass"]("tests")
    return float((model(tests.inputs).argmax(1) == tests.outputs).float().mean())


# ---------------------------------------------------------------- reacting to a run


def snippets() -> list[str]:
    return re.findall(r"```python\n(.*?)```", GUIDE, flags=re.S)


def test_the_guides_hook_measures_writes_and_draws(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(next(text for text in snippets() if "def on_epoch_end" in text), names)
    hooked = type("Hooked", (Points,), {"on_epoch_end": names["on_epoch_end"]})
    result = train(hooked(), {"epochs": 1}, runs_dir=tmp_path)
    metrics = result.metrics
    assert metrics["test/gap"] == metrics["test/loss"] - metrics["train/loss"]
    logs = [event for event in events(result.run_dir) if event["event"] == "log"]
    assert logs[0]["text"] == "epoch 1, step 6, lr 0.001"
    assert (result.run_dir / logs[1]["image"]).is_file()
    assert not [event for event in events(result.run_dir) if event["event"] == "alert"]


def test_the_guides_lines_follow_a_run(tmp_path: Path) -> None:
    layout = finished(tmp_path / "it", epochs=2)
    names: dict[str, Any] = {}
    exec(next(text for text in snippets() if "def follow" in text), names)
    assert list(names["follow"](layout.root)) == events(layout.root)


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_the_guides_jq_lines_read_the_events(tmp_path: Path) -> None:
    layout = finished(tmp_path / "it", epochs=2)
    lines = [line for line in GUIDE.splitlines() if "| jq " in line or line.startswith("jq ")]
    assert len(lines) == 3
    said = []
    for line in lines:
        command = line.replace("tail -F", "cat")
        environment = {"RUN": str(layout.root), "PATH": "/usr/bin:/bin:/usr/local/bin"}
        done = subprocess.run(
            command, shell=True, capture_output=True, text=True, check=True, env=environment
        )
        said.append(done.stdout.splitlines())
    assert [line.split()[0] for line in said[0]] == ["1", "2"]
    assert said[1:] == [[], ["2"]]
