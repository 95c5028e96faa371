"""One optimizer step: accumulation is exact, nothing waits for the device, all optimizers work or say why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import Points, PointsHparams, points, rows, start, weights
from tui_trainer import Task, train
from tui_trainer.config.names import LOSSES, OPTIMIZERS
from tui_trainer.engine.criterion import build_criterion
from tui_trainer.engine.meter import Meter
from tui_trainer.engine.optim import build_optimizer
from tui_trainer.engine.update import Forward, Updater
from tui_trainer.errors import TrainerError, UsageError

CPU = torch.device("cpu")


class Wide(Points):
    """`Points` in float64, without a test set."""

    def datasets(self, hparams: Any) -> Any:
        inputs, targets = points(self.samples)
        return (inputs.double(), targets), None

    def model(self, hparams: Any) -> nn.Module:
        return super().model(hparams).double()


class Tokens(Wide):
    """Sequences padded with −100, so a batch's loss is a mean over its tokens."""

    def datasets(self, hparams: Any) -> Any:
        generator = torch.Generator().manual_seed(5)
        inputs = torch.randn(self.samples, 6, 8, dtype=torch.float64, generator=generator)
        targets = torch.randint(0, 3, (self.samples, 6), generator=generator)
        lengths = torch.randint(1, 7, (self.samples, 1), generator=generator)
        return (inputs, targets.masked_fill(torch.arange(6) >= lengths, -100)), None

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        inputs, targets = batch
        outputs = model(inputs).flatten(0, 1)
        return criterion(outputs, targets.flatten()), outputs, targets.flatten()

    def count(self, batch: Any) -> Any:
        return (batch[1] != -100).sum()

    def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
        return {}


def final_weights(task: Task, runs_dir: Path, **values: Any) -> dict[str, torch.Tensor]:
    result = train(
        task, {"epochs": 2, "optimizer": "SGD", "lr": 0.3, "checkpoint_every": 0, **values}, runs_dir=runs_dir
    )
    return weights(result.run_dir, 2)


@pytest.mark.parametrize("kind", [Wide, Tokens])
@pytest.mark.parametrize("samples", [48, 53, 41])
@pytest.mark.parametrize("options", [{}, {"grad_clip_norm": 0.05}, {"momentum": 0.9}])
def test_accumulating_small_batches_equals_one_large_batch(
    tmp_path: Path, kind: type[Wide], samples: int, options: dict[str, Any]
) -> None:
    small = final_weights(kind(samples), tmp_path, batch_size=4, grad_accumulation=3, **options)
    large = final_weights(kind(samples), tmp_path, batch_size=12, **options)
    for name, tensor in small.items():
        torch.testing.assert_close(tensor, large[name], rtol=0, atol=1e-12)


class Sized(Wide):
    """A loader whose batches have all sizes."""

    sizes = (1, 7, 2, 5)

    def dataloader(self, hparams: Any, dataset: Any, train: bool) -> Any:
        if hparams.grad_accumulation == 1:
            return [dataset]
        return list(zip(*(part.split(list(self.sizes)) for part in dataset), strict=True))


def test_unequal_batches_weigh_by_their_samples(tmp_path: Path) -> None:
    small = final_weights(Sized(15), tmp_path, grad_accumulation=4)
    large = final_weights(Sized(15), tmp_path)
    for name, tensor in small.items():
        torch.testing.assert_close(tensor, large[name], rtol=0, atol=1e-12)


def test_a_window_of_nothing_but_padding_leaves_finite_weights() -> None:
    class Counted(Task):
        def count(self, batch: Any) -> Any:
            return batch[2]

        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
            loss = (model(batch[0]).square().mean(1) * batch[1]).sum() / batch[2].clamp(min=1)
            return loss, None, None

    model = nn.Linear(4, 2)
    updater = Updater(model, torch.optim.SGD(model.parameters(), lr=0.1))
    empty = (torch.ones(3, 4), torch.zeros(3), torch.tensor(0))
    updater.step([empty, empty], Forward(Counted(), None, CPU, "float32"), Meter(CPU))
    assert all(torch.isfinite(p).all() for p in model.parameters())


def test_an_epoch_reads_nothing_back_from_the_device_step_by_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = 0

    def counting(method: Any) -> Any:
        def read(*args: Any, **kwargs: Any) -> Any:
            nonlocal reads
            reads += 1
            return method(*args, **kwargs)

        return read

    for name in ("item", "__float__", "__int__", "__bool__", "tolist", "cpu", "numpy", "__index__"):
        monkeypatch.setattr(torch.Tensor, name, counting(getattr(torch.Tensor, name)))

    def count(samples: int, **values: Any) -> int:
        nonlocal reads
        reads = 0
        common = {"epochs": 1, "batch_size": 4, "log_rate": 1e-3, "eval_every": 0, "scheduler": "cosine"}
        train(Points(samples), {**common, "grad_clip_norm": 1.0, **values}, runs_dir=tmp_path)
        return reads

    assert count(50) == count(400)
    assert count(50, grad_accumulation=2) == count(400, grad_accumulation=2)


# Rates at which each lowers the loss of a small model within a few epochs.
RATES = {
    "Adadelta": 0.5,
    "RAdam": 0.1,
    "SGD": 0.1,
    "ASGD": 0.1,
    "Adagrad": 0.05,
    "Adafactor": 0.05,
    "LBFGS": 0.1,
}


class BiasFree(Points):
    def model(self, hparams: Any) -> nn.Module:
        return nn.Sequential(nn.Linear(8, 16, bias=False), nn.ReLU(), nn.Linear(16, 3, bias=False))


class SparseWords(Points):
    """Classes by the words of a short text, through an embedding with sparse gradients."""

    def datasets(self, hparams: Any) -> Any:
        targets = torch.arange(120) % 3
        words = torch.stack([targets * 5 + k for k in range(4)], 1)
        return (words, targets), None

    def model(self, hparams: Any) -> nn.Module:
        return nn.EmbeddingBag(20, 3, mode="sum", sparse=True)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_lowers_the_loss_or_is_refused_with_a_reason(
    tmp_path: Path, name: str, precision: str
) -> None:
    values = {
        "optimizer": name,
        "lr": RATES.get(name, 0.02),
        "epochs": 6,
        "precision": precision,
        "log_rate": 0.0,
        "checkpoint_every": 0,
        # Without a line search LBFGS is only sound on the whole set.
        **({"batch_size": 128} if name == "LBFGS" else {}),
    }
    if name in ("Muon", "SparseAdam"):
        with pytest.raises(UsageError, match=r"matrices only|sparse gradients") as caught:
            train(Points(), values, runs_dir=tmp_path)
        assert caught.value.hint.startswith("--optimizer")
        assert not list(tmp_path.iterdir())
    task = {"Muon": BiasFree, "SparseAdam": SparseWords}.get(name, Points)()
    result = train(task, values, runs_dir=tmp_path)
    losses = rows(result.run_dir)["train/loss"]
    assert losses[-3:].mean() < 0.9 * losses[0]


@pytest.mark.parametrize(
    "options", [{}, {"batch_size": 27, "grad_accumulation": 3}, {"grad_clip_norm": 0.5, "lr": 0.02}]
)
def test_lbfgs_takes_its_closure_with_accumulation_and_clipping(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    values = {"optimizer": "LBFGS", "lr": 0.1, "epochs": 6, "log_rate": 0.0, "batch_size": 128, **options}
    result = train(Points(), values, runs_dir=tmp_path)
    losses = rows(result.run_dir)["train/loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_sparse_gradients_and_clipping_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sparse"):
        train(SparseWords(), {"optimizer": "SparseAdam", "grad_clip_norm": 1.0}, runs_dir=tmp_path)


def test_sgd_trains_sparse_embeddings(tmp_path: Path) -> None:
    result = train(SparseWords(), {"optimizer": "SGD", "lr": 0.5, "epochs": 3}, runs_dir=tmp_path)
    assert result.metrics["train/accuracy"] > 0.9


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "Adagrad"])
def test_the_fused_form_is_taken_where_there_is_one(name: str) -> None:
    hparams = PointsHparams(optimizer=name)
    assert build_optimizer(Points(), hparams, nn.Linear(2, 2)).defaults["fused"]
    sparse = nn.Embedding(4, 2, sparse=True)
    assert not build_optimizer(Points(), hparams, sparse).defaults.get("fused")


def test_frozen_parameters_stay_and_a_model_without_others_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    optimizer = build_optimizer(Points(), PointsHparams(), model)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 2
    with pytest.raises(TrainerError, match="nothing to train"):
        build_optimizer(Points(), PointsHparams(), model.requires_grad_(False))


def test_options_of_the_optimizer_reach_it() -> None:
    hparams = PointsHparams(optimizer="AdamW", lr=0.01, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.2)
    defaults = build_optimizer(Points(), hparams, nn.Linear(2, 2)).defaults
    assert (defaults["lr"], defaults["betas"], defaults["eps"], defaults["weight_decay"]) == (
        0.01,
        (0.8, 0.95),
        1e-6,
        0.2,
    )


def _suitable(loss: str) -> tuple[torch.Tensor, torch.Tensor]:
    outputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([0, 1, 2, 3, 0, 1])
    match loss:
        case "CrossEntropyLoss" | "auto" | "MultiMarginLoss":
            return outputs, classes
        case "NLLLoss":
            return outputs.log_softmax(1), classes
        case "BCELoss":
            return outputs.sigmoid(), outputs.gt(0.2).float()
        case "KLDivLoss":
            return outputs.log_softmax(1), outputs.flip(0).softmax(1)
        case "HingeEmbeddingLoss" | "SoftMarginLoss":
            return outputs, outputs.flip(0).sign()
        case "MultiLabelMarginLoss":
            return outputs, torch.tensor([[0, -1, -1, -1]] * 6)
        case "PoissonNLLLoss":
            return outputs, outputs.abs().round()
        case "MultiLabelSoftMarginLoss" | "BCEWithLogitsLoss":
            return outputs, outputs.gt(0).float()
    return outputs, outputs.flip(0)


@pytest.mark.filterwarnings("ignore:reduction:UserWarning")
@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_is_a_scalar_function_of_outputs_and_targets(name: str) -> None:
    criterion = build_criterion(Points(), PointsHparams(loss=name))
    outputs, targets = _suitable(name)
    loss = criterion(outputs, targets)
    assert loss.shape == ()
    assert torch.isfinite(loss)


def test_label_smoothing_reaches_the_loss_and_auto_chooses_by_the_targets() -> None:
    outputs, classes = _suitable("CrossEntropyLoss")
    expected = nn.CrossEntropyLoss(label_smoothing=0.1)(outputs, classes)
    for name in ("auto", "CrossEntropyLoss"):
        assert (
            build_criterion(Points(), PointsHparams(loss=name, label_smoothing=0.1))(outputs, classes)
            == expected
        )
    auto = build_criterion(Points(), PointsHparams())
    assert auto(outputs, outputs + 1) == 1.0
    assert build_criterion(Points(), PointsHparams())(outputs, classes.int()) > 0


def test_outputs_and_targets_that_would_broadcast_are_refused() -> None:
    with pytest.raises(TrainerError, match=r"\[8, 1\]") as caught:
        build_criterion(Points(), PointsHparams())(torch.ones(8, 1), torch.ones(8))
    assert "squeeze" in caught.value.hint


def test_a_loss_dict_trains_on_its_total_and_records_its_parts(tmp_path: Path) -> None:
    class Parts(Points):
        def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
            loss, outputs, targets = super().compute_loss(model, batch, criterion)
            penalty = outputs.square().mean()
            return {"loss": loss + 0.1 * penalty, "data": loss, "penalty": penalty}, outputs, targets

    result = train(Parts(), {"epochs": 1}, runs_dir=tmp_path)
    metrics = result.metrics
    for split in ("train", "test"):
        total = metrics[f"{split}/data"] + 0.1 * metrics[f"{split}/penalty"]
        assert metrics[f"{split}/loss"] == pytest.approx(total, rel=1e-6)
    assert {"train/penalty", "train/loss_min", "train/loss_max"} <= set(rows(result.run_dir))


def test_metrics_may_be_plain_numbers(tmp_path: Path) -> None:
    class Numbers(Points):
        def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
            return {"half": 0.5, "count": len(targets)}

    assert train(Numbers(), {"epochs": 1}, runs_dir=tmp_path).metrics["test/half"] == 0.5


@pytest.mark.parametrize(
    ("returned", "title"), [("good", "metric is no number"), (torch.ones(2), "no scalar")]
)
def test_a_metric_that_is_no_number_is_named(tmp_path: Path, returned: Any, title: str) -> None:
    class Odd(Points):
        def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
            return {"quality": returned}

    with pytest.raises(TrainerError, match=title) as caught:
        train(Odd(), {"epochs": 1}, runs_dir=tmp_path)
    assert "quality" in caught.value.message


def test_clipping_bounds_the_gradient_norm_of_a_step() -> None:
    model = nn.Linear(8, 3)
    before = [p.detach().clone() for p in model.parameters()]
    updater = Updater(model, torch.optim.SGD(model.parameters(), lr=1.0), clip_norm=0.01)
    forward = Forward(Points(), nn.CrossEntropyLoss(), CPU, "float32")
    updater.step([tuple(t[:16] for t in points())], forward, Meter(CPU))
    moved = torch.sqrt(sum((p - b).square().sum() for p, b in zip(model.parameters(), before, strict=True)))
    assert float(moved.detach()) == pytest.approx(0.01, rel=1e-4)


def test_a_stop_request_from_a_batch_ends_at_its_step_boundary(tmp_path: Path) -> None:
    from tui_trainer.engine.interrupt import StopRequest

    stop = StopRequest()
    task = Points(on_batch=lambda number: stop.request("test") if number == 2 else None)
    result = start(task, tmp_path, {"grad_accumulation": 3, "test_size": 0.0}, stop)
    assert (result.status, result.steps, task.trained_batches) == ("stopped", 1, 3)
    assert (result.run_dir / "checkpoints/model_0+3.pt").exists()


def test_a_first_step_that_the_scaler_skips_leaves_no_garbage_as_momentum(tmp_path: Path) -> None:
    class Loud(Points):
        """Gradients that float16 can't hold at the first scale."""

        def criterion(self, hparams: Any) -> Any:
            return lambda outputs, targets: 100 * nn.functional.cross_entropy(outputs, targets)

    values = {"precision": "float16", "optimizer": "SGD", "momentum": 0.9, "lr": 1e-6, "log_rate": 0.0}
    result = train(Loud(), {**values, "epochs": 4}, runs_dir=tmp_path)
    losses = rows(result.run_dir)["train/loss"]
    assert losses.max() < 2 * losses[0]
