"""The task char_lm: windows without a leak, metrics against plain torch, messages for what is wrong."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pydantic
import pytest
import torch
from torch.nn import functional as F

from tui_trainer.engine.context import EpochContext
from tui_trainer.engine.meter import Meter
from tui_trainer.errors import Exit, FileError, TrainerError, UsageError
from tui_trainer.tasks.char_lm import CharLM, CharLMHparams

SMALL: dict[str, Any] = {"context": 8, "d_model": 16, "n_layers": 1, "n_heads": 2, "sample_chars": 12}

LETTERS = "abcdefghijklmnopqrstuvwxyz\n"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine make tiny models a hundred times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_text(folder: Path, characters: int = 2_000) -> Path:
    """A text whose character at each place tells the place modulo 27, so that windows can be placed."""
    path = folder / "text.txt"
    path.write_text((LETTERS * (characters // 27 + 1))[:characters])
    return path


def hparams(path: Path | None, **values: Any) -> CharLMHparams:
    return CharLMHparams(dataset_path=str(path) if path else None, **{**SMALL, **values})


def test_windows_cover_the_text_once_in_order(tmp_path: Path) -> None:
    task = CharLM()
    train, test = task.datasets(hparams(write_text(tmp_path), test_size=0.25))
    windows, tail = train[0], test[0]
    assert windows.dtype == tail.dtype == torch.uint8
    assert windows.shape == ((1501 - 1) // 8, 9)
    # A view: the windows take no more memory than the text.
    assert windows.untyped_storage().nbytes() == 1501
    assert torch.equal(windows[:-1, -1], windows[1:, 0])
    text = (LETTERS * 75)[:2_000] + "\n"
    assert task.vocabulary.decode(windows[:, :-1].flatten().tolist()) == text[: 187 * 8]
    assert task.vocabulary.decode(tail[:, :-1].flatten().tolist()) == text[1501 : 1501 + 62 * 8]


@pytest.mark.parametrize(("test_size", "val_size"), [(0.2, 0.1), (0.0, 0.2), (0.3, 0.0), (0.0, 0.0)])
def test_parts_do_not_overlap(tmp_path: Path, test_size: float, val_size: float) -> None:
    path = tmp_path / "text.txt"
    # 250 different characters, each at three places of its own, so that a token tells where it stands.
    path.write_text("".join(chr(0x4E00 + i) * 3 for i in range(250)), encoding="utf-8")
    options = hparams(path, context=4, max_chars=750, test_size=test_size, val_size=val_size)
    parts = CharLM().datasets(options)
    assert len(parts) == (3 if val_size else 2)
    assert (parts[-1] is None) == (test_size == 0)
    spans = [(int(part[0].min()), int(part[0].max())) for part in parts if part is not None]
    assert all(low >= high for (_, high), (low, _) in pairwise(spans))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_epoch_metrics_equal_plain_torch_with_a_short_last_batch(tmp_path: Path, smoothing: float) -> None:
    task, options = CharLM(), hparams(write_text(tmp_path), label_smoothing=smoothing)
    _, (windows,) = task.datasets(options)
    torch.manual_seed(3)
    model = task.model(options).double().eval()
    criterion, meter = task.criterion(options), Meter(torch.device("cpu"))
    batches = windows.split(10)
    assert len(batches[-1]) < 10 < len(windows)
    with torch.no_grad():
        for batch in batches:
            loss, outputs, targets = task.compute_loss(model, (batch,), criterion)
            meter.add({**loss, **task.metrics(outputs, targets)}, task.count((batch,)))
        logits, truth = model(windows[:, :-1]).flatten(0, 1), windows[:, 1:].long().flatten()
    means = meter.means()
    entropy = float(-logits.log_softmax(-1).gather(1, truth[:, None]).mean())
    assert means["loss"] == pytest.approx(
        float(F.cross_entropy(logits, truth, label_smoothing=smoothing)), rel=1e-6
    )
    assert means["perplexity"] == pytest.approx(math.exp(entropy), rel=1e-6)
    assert means["bits_per_char"] == pytest.approx(entropy / math.log(2), rel=1e-6)
    right = float((logits.argmax(1) == truth).double().mean())
    assert means["accuracy"] == pytest.approx(right, rel=1e-6)
    assert set(means) == {"loss", *task.metric_names}


def test_count_and_bare_batches(tmp_path: Path) -> None:
    task, options = CharLM(), hparams(write_text(tmp_path))
    (windows,), _ = task.datasets(options)
    model, criterion = task.model(options).eval(), task.criterion(options)
    assert task.count((windows[:5],)) == task.count(windows[:5]) == 40
    batch = windows[:5]
    in_tuple, alone = (task.compute_loss(model, form, criterion)[0]["loss"] for form in ((batch,), batch))
    assert in_tuple == alone


def test_it_learns_the_alphabet(tmp_path: Path) -> None:
    task, options = CharLM(), hparams(write_text(tmp_path, 4_000))
    (windows,), _ = task.datasets(options)
    torch.manual_seed(0)
    model, criterion = task.model(options), task.criterion(options)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss, outputs, targets = task.compute_loss(model, (windows[:64],), criterion)
        optimizer.zero_grad()
        loss["loss"].backward()
        optimizer.step()
    assert float(task.metrics(outputs, targets)["accuracy"]) > 0.95
    assert task.sample(model, options).startswith("abcdef")


class Log:
    """What a run's writer got."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def event(self, kind: str, **fields: Any) -> None:
        self.events.append({"event": kind, **fields})


def context(model: torch.nn.Module, options: Any, log: Log) -> EpochContext:
    return EpochContext(model, options, torch.device("cpu"), 1, 10, {}, log)  # type: ignore[arg-type]


def test_the_sample_is_logged_and_moves_no_random_stream(tmp_path: Path) -> None:
    task, options, log = CharLM(), hparams(write_text(tmp_path)), Log()
    task.datasets(options)
    model = task.model(options).eval()
    before = torch.get_rng_state()
    task.on_epoch_end(context(model, options, log))
    task.on_epoch_end(context(model, options.model_copy(update={"sample_chars": 0}), log))
    assert torch.equal(torch.get_rng_state(), before)
    assert [(event["name"], len(event["text"])) for event in log.events] == [("sample", 12)]


def test_a_sample_holds_no_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "escape.txt"
    path.write_text("\x1b[2J\x07" * 100)
    task, options = CharLM(), hparams(path, sample_chars=100)
    task.datasets(options)
    text = task.sample(task.model(options), options)
    assert len(text) == 100
    assert "\x1b" not in text
    assert "\ufffd" in text


@pytest.mark.parametrize(
    ("content", "values", "error", "words"),
    [
        (None, {}, FileError, "text.txt does not exist"),
        ("", {}, FileError, "holds nothing but white space"),
        ("aaaaaaaaaaaa", {}, FileError, "1 different ones frequent enough"),
        ("ab\n" * 11, {}, UsageError, "training part of 30 characters, context 8 needs 33"),
        ("ab\n" * 20, {}, UsageError, "test part of 6 characters, context 8 needs 9"),
        ("ab\n" * 40, {"val_size": 0.05}, UsageError, "validation part of 6 characters"),
        ("ab\n" * 400, {"context": 5_000}, UsageError, "--context 269 or less"),
        ("ab\n" * 400, {"max_chars": 20}, UsageError, "training part of 18 characters"),
    ],
)
def test_bad_data(
    tmp_path: Path, content: str | None, values: dict[str, Any], error: type[TrainerError], words: str
) -> None:
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(error) as caught:
        CharLM().datasets(hparams(path, **values))
    assert caught.value.exit_code == (Exit.FILE if error is FileError else Exit.USAGE)
    assert words in f"{caught.value.message} {caught.value.hint}"
    assert "text.txt" in caught.value.message


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n_heads": 3}, "n_heads: 3 heads do not divide d_model 16"),
        ({"loss": "MSELoss"}, "loss: MSELoss does not fit classes"),
        ({"dropout": 1.0}, "less than 1"),
        ({"context": 0}, "greater than or equal to 1"),
    ],
)
def test_bad_hparams(values: dict[str, Any], words: str) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        hparams(None, **values)
    assert words in str(caught.value)


def test_importing_the_tasks_loads_nothing_heavy() -> None:
    code = (
        "import sys, tui_trainer.tasks.char_lm, tui_trainer.tasks.seq2seq\n"
        "print(sorted({'torch', 'numpy', 'sklearn', 'textual'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
