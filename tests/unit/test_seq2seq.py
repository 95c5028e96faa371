"""The task seq2seq: padding counts nowhere, decoding is greedy, and messages name what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydantic
import pytest
import torch
from torch.nn import functional as F

from tui_trainer.datasets.dates import make_date_pairs
from tui_trainer.engine.context import EpochContext
from tui_trainer.engine.meter import Meter
from tui_trainer.errors import Exit, FileError, TrainerError, UsageError
from tui_trainer.models.seq2seq import BOS, EOS, PAD, UNK, Encoder
from tui_trainer.models.seq2seq import Seq2Seq as Network
from tui_trainer.tasks.seq2seq import Seq2Seq, Seq2SeqHparams

SMALL: dict[str, Any] = {"d_model_enc": 8, "d_model_dec": 12, "batch_size": 16}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine make tiny models a hundred times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def hparams(path: Path | None = None, **values: Any) -> Seq2SeqHparams:
    return Seq2SeqHparams(dataset_path=str(path) if path else None, **{**SMALL, **values})


def write_pairs(folder: Path, pairs: list[tuple[str, str]]) -> Path:
    items = [{"input": text, "target": target} for text, target in pairs]
    (folder / "pairs.json").write_text(json.dumps(items))
    return folder


def reversed_words(n: int = 40) -> list[tuple[str, str]]:
    words = [f"{'abcde'[i % 5] * (1 + i % 3)}{i}" for i in range(n)]
    return [(word, word[::-1]) for word in words]


def network(n_layers: int = 1, dropout: float = 0.0) -> Network:
    torch.manual_seed(0)
    return Network(9, 10, 6, d_model_enc=8, d_model_dec=12, n_layers=n_layers, dropout=dropout).eval()


def rows(lengths: list[int], symbols: int, width: int) -> torch.Tensor:
    """Random rows of `length` characters, their end, and padding."""
    filled = torch.zeros(len(lengths), width, dtype=torch.uint8)
    for row, length in zip(filled, lengths, strict=True):
        row[:length] = torch.randint(UNK, symbols, (length,))
        row[length] = EOS
    return filled


def test_rows_and_splits(tmp_path: Path) -> None:
    task, pairs = Seq2Seq(), reversed_words()
    parts = task.datasets(hparams(write_pairs(tmp_path, pairs), test_size=0.25, val_size=0.1))
    assert [len(part[0]) for part in parts] == [26, 4, 10]
    seen = set()
    for inputs, targets in parts:
        assert inputs.dtype == targets.dtype == torch.uint8
        assert inputs.shape[1] == targets.shape[1] == 6
        for row, target in zip(inputs, targets, strict=True):
            assert (row == EOS).sum() == 1
            seen.add((task.inputs.decode(row), task.targets.decode(target)))
    assert seen == set(pairs)


@pytest.mark.parametrize(("test_size", "val_size"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5)])
def test_missing_splits_are_none(tmp_path: Path, test_size: float, val_size: float) -> None:
    path = write_pairs(tmp_path, reversed_words(10))
    parts = Seq2Seq().datasets(hparams(path, test_size=test_size, val_size=val_size))
    assert [part is None for part in parts] == [False, *([False] if val_size else []), test_size == 0]


def test_dates_are_the_default_and_a_written_set_is_read_alike(tmp_path: Path) -> None:
    generated, written = Seq2Seq(), Seq2Seq()
    path = Seq2Seq.make_data(tmp_path)
    first = generated.datasets(hparams())
    for named in (tmp_path, path):
        second = written.datasets(hparams(named))
        for one, two in zip(first, second, strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert generated.targets.symbols == "-0123456789"
    assert len(first[0][0]) + len(first[1][0]) == len(json.loads(path.read_text())) == 10_000
    pair = make_date_pairs(1, seed=0)[0]
    assert pair in json.loads(path.read_text())


@pytest.mark.parametrize("n_layers", [1, 2])
def test_padding_does_not_reach_the_encoder(n_layers: int) -> None:
    model = network(n_layers)
    tokens = rows([4, 1, 3], 9, 5)
    wide = F.pad(tokens, (0, 7))
    with torch.no_grad():
        features, end, mask = model.encoder(tokens)
        more, more_end, more_mask = model.encoder(wide)
        assert torch.equal(mask, more_mask[:, :5])
        assert not more_mask[:, 5:].any()
        torch.testing.assert_close(more[:, :5][mask], features[mask], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(more_end, end, rtol=1e-6, atol=1e-7)
        targets = rows([3, 5, 2], 10, 6)
        torch.testing.assert_close(model(wide, targets), model(tokens, targets), rtol=1e-6, atol=1e-6)
        assert torch.equal(model(wide), model(tokens))
        # A row alone, without any padding, gives the same too.
        alone, among = model(tokens[1:2, :2], targets[1:2]), model(tokens, targets)[1:2]
        torch.testing.assert_close(alone, among, rtol=1e-6, atol=1e-6)


def test_the_encoder_equals_torchs_bidirectional_gru_on_packed_rows() -> None:
    torch.manual_seed(1)
    encoder = Encoder(9, 8, 1, 0.0)
    reference = torch.nn.GRU(8, 8, batch_first=True, bidirectional=True)
    for name, parameter in reference.named_parameters():
        source = encoder.backwards[0] if name.endswith("_reverse") else encoder.forwards[0]
        parameter.data.copy_(source.get_parameter(name.removesuffix("_reverse")))
    lengths = [4, 1, 3]
    tokens = rows(lengths, 9, 5)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        encoder.embedding(tokens.int()), torch.tensor(lengths) + 1, batch_first=True, enforce_sorted=False
    )
    output, state = reference(packed)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=True)
    features, end, mask = encoder(tokens)
    torch.testing.assert_close(features[mask], expected[mask])
    torch.testing.assert_close(end, torch.cat([state[0], state[1]], -1))


def test_later_targets_do_not_change_earlier_logits() -> None:
    model, inputs, targets = network(), rows([4, 2], 9, 5), rows([5, 5], 10, 6)
    before = model(inputs, targets)
    for position in range(6):
        changed = targets.clone()
        changed[:, position:] = 3 + (changed[:, position:] + 1) % 7
        torch.testing.assert_close(model(inputs, changed)[:, : position + 1], before[:, : position + 1])


@pytest.mark.parametrize("n_layers", [1, 2])
def test_greedy_decoding_equals_decoding_step_by_step(n_layers: int) -> None:
    model, inputs = network(n_layers), rows([4, 2, 0, 1], 9, 5)
    with torch.no_grad():
        chosen = model(inputs)
        assert chosen.shape == (4, 6)
        for row, expected in zip(inputs, chosen, strict=True):
            prefix: list[int] = []
            for _ in range(6):
                # The last target is never looked at, so any token stands for the one to find.
                logits = model(row[None], torch.tensor([[*prefix, PAD]]))
                prefix.append(int(logits[0, -1].argmax()))
            assert prefix == expected.tolist()
        memory, state = model.encode(inputs)
        first, _ = model.step(torch.full((4, 1), BOS), memory, state)
        assert torch.equal(first.argmax(-1)[:, 0], chosen[:, 0])


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_epoch_metrics_equal_hand_masked_ones(tmp_path: Path, smoothing: float) -> None:
    task = Seq2Seq()
    options = hparams(write_pairs(tmp_path, reversed_words()), label_smoothing=smoothing, test_size=0.5)
    _, (inputs, targets) = task.datasets(options)
    torch.manual_seed(2)
    model = task.model(options).double().eval()
    criterion, meter = task.criterion(options), Meter(torch.device("cpu"))
    batches = list(zip(inputs.split(7), targets.split(7), strict=True))
    assert len(batches[-1][0]) == 6
    with torch.no_grad():
        for batch in batches:
            loss, outputs, truth = task.compute_loss(model, batch, criterion)
            meter.add({**loss, **task.metrics(outputs, truth)}, task.count(batch))
        logs = model(inputs, targets).log_softmax(-1)
        answers = model(inputs)
    total = right = count = exact = 0.0
    for row, answer, log in zip(targets.tolist(), answers.tolist(), logs, strict=True):
        length = row.index(EOS) + 1
        for token, log_p in zip(row[:length], log, strict=False):
            total += -(1 - smoothing) * float(log_p[token]) - smoothing * float(log_p.mean())
            right += int(log_p.argmax()) == token
            count += 1
        exact += answer[:length] == row[:length]
    means = meter.means()
    assert means["loss"] == pytest.approx(total / count, rel=1e-6)
    assert means["accuracy"] == pytest.approx(right / count, rel=1e-6)
    assert means["exact_match"] == exact / len(targets)
    assert set(means) == {"loss", *task.metric_names}


def test_count_is_what_is_no_padding(tmp_path: Path) -> None:
    task = Seq2Seq()
    (inputs, targets), _ = task.datasets(hparams(write_pairs(tmp_path, reversed_words()), test_size=0))
    lengths = [len(task.targets.decode(row)) + 1 for row in targets]
    assert int(task.count((inputs, targets))) == sum(lengths)


def test_training_gives_no_exact_match_and_learns(tmp_path: Path) -> None:
    task, pairs = Seq2Seq(), reversed_words(20)
    sizes = {"d_model_enc": 16, "d_model_dec": 32, "dropout": 0.0}
    options = hparams(write_pairs(tmp_path, pairs), test_size=0.1, **sizes)
    train, _ = task.datasets(options)
    torch.manual_seed(0)
    model, criterion = task.model(options), task.criterion(options)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        loss, _, _ = task.compute_loss(model, train, criterion)
        optimizer.zero_grad()
        loss["loss"].backward()
        optimizer.step()
    assert set(loss) == {"loss"}
    model.eval()
    exact = task.compute_loss(model, train, criterion)[0]["exact_match"]
    assert exact.finish([float(value) for value in exact.values]) == 1.0
    model.train()
    shown = [task.inputs.decode(row) for row in train[0][:3]]
    assert task.answer(model, shown) == [text[::-1] for text in shown]
    assert model.training


def test_answers_are_logged_and_move_no_random_stream(tmp_path: Path) -> None:
    texts: list[str] = []

    class Log:
        def event(self, kind: str, **fields: Any) -> None:
            texts.append(fields["text"])

    task = Seq2Seq()
    options = hparams(write_pairs(tmp_path, reversed_words()))
    task.datasets(options)
    model = task.model(options)
    before = torch.get_rng_state()
    writer: Any = Log()
    task.on_epoch_end(EpochContext(model, options, torch.device("cpu"), 1, 1, {}, writer))
    assert torch.equal(torch.get_rng_state(), before)
    lines = texts[0].splitlines()
    assert len(lines) == 5
    assert all(" → " in line and ("(wrong: " in line or line.endswith("(right)")) for line in lines)


@pytest.mark.parametrize(
    ("pairs", "values", "error", "words"),
    [
        (None, {}, FileError, "pairs.json does not exist"),
        (None, {"dataset_json_fname": "other.json"}, FileError, "other.json does not exist"),
        (None, {"dataset_json_fname": None}, FileError, "pairs.json does not exist"),
        ([], {}, FileError, "holds no item"),
        ([("a", "b"), ("a", "")], {}, FileError, "item 1: there is nothing to predict"),
        ([("a", "b"), ("a" * 300, "b")], {}, FileError, "item 1 has 300 characters, max_length is 256"),
        ([("a", "b")], {}, UsageError, "of 1 sample"),
    ],
)
def test_bad_data(
    tmp_path: Path,
    pairs: list[tuple[str, str]] | None,
    values: dict[str, Any],
    error: type[TrainerError],
    words: str,
) -> None:
    if pairs is not None:
        write_pairs(tmp_path, pairs)
    with pytest.raises(error) as caught:
        Seq2Seq().datasets(hparams(tmp_path, **values))
    assert caught.value.exit_code == (Exit.FILE if error is FileError else Exit.USAGE)
    assert words in caught.value.message
    assert caught.value.hint


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="gone does not exist"):
        Seq2Seq().datasets(hparams(tmp_path / "gone"))


def test_make_data_does_not_overwrite(tmp_path: Path) -> None:
    Seq2Seq.make_data(tmp_path)
    with pytest.raises(FileError, match="not overwritten"):
        Seq2Seq.make_data(tmp_path)


@pytest.mark.parametrize(
    "values", [{"loss": "MSELoss"}, {"d_model_enc": 0}, {"n_layers": 0}, {"dropout": -0.1}]
)
def test_bad_hparams(values: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        hparams(None, **values)
    assert next(iter(values)) in str(caught.value)
