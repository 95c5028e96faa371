"""Epoch metrics: exact over samples, whatever the batches look like."""

from __future__ import annotations

import gc
import math
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, r2_score

from tui_trainer.engine.meter import Meter
from tui_trainer.engine.metrics import R2, ConfusionMatrix, Last, Mean, Ratio, Reducer, Sum
from tui_trainer.errors import TrainerError

CPU = torch.device("cpu")


def f64(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_epoch_mean_weights_a_short_last_batch_by_its_samples() -> None:
    values = torch.randn(103, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    meter = Meter(CPU)
    for batch in values.split(10):
        meter.add({"loss": batch.mean()}, len(batch))
    assert meter.means()["loss"] == pytest.approx(float(values.mean()), abs=1e-12)


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(0, 9), st.booleans()), min_size=1, max_size=30),
    st.integers(1, 7),
)
def test_means_hold_for_any_counts_and_any_capacity(
    batches: list[tuple[float, int, bool]], capacity: int
) -> None:
    meter = Meter(CPU, capacity)
    for value, count, as_tensor in batches:
        meter.add({"loss": f64(value if count else math.nan)}, torch.tensor(count) if as_tensor else count)
    whole = sum(count for _, count, _ in batches)
    expected = sum(value * count for value, count, _ in batches) / whole if whole else math.nan
    assert meter.means()["loss"] == pytest.approx(expected, abs=1e-9, nan_ok=True)


def test_token_counts_given_as_tensors_weight_the_mean() -> None:
    meter = Meter(CPU)
    meter.add({"loss": f64(1.0), "accuracy": f64(0.5)}, torch.tensor(3))
    meter.add({"loss": f64(5.0), "accuracy": f64(1.0)}, torch.tensor(1))
    assert meter.means() == {"loss": 2.0, "accuracy": 0.625}


def test_a_batch_of_nothing_but_padding_changes_nothing() -> None:
    meter = Meter(CPU)
    meter.add({"loss": f64(1.0)}, 4)
    meter.add({"loss": f64(math.nan)}, 0)
    meter.add({"loss": f64(math.inf)}, torch.tensor(0))
    assert meter.means() == {"loss": 1.0}
    assert meter.window_bad == 0


def test_mean_passes_the_epoch_mean_through_its_function() -> None:
    meter = Meter(CPU)
    for loss, tokens in ((1.0, 3), (2.0, 1)):
        meter.add({"loss": f64(loss), "perplexity": Mean(f64(loss), then=math.exp)}, tokens)
    assert meter.means()["perplexity"] == pytest.approx(math.exp(1.25), rel=1e-12)
    overflow = Meter(CPU)
    overflow.add({"perplexity": Mean(f64(1e6), then=math.exp)}, 1)
    assert overflow.means()["perplexity"] == math.inf


def test_sums_ratios_and_last_values() -> None:
    meter = Meter(CPU, capacity=2)
    for part in range(1, 6):
        value = f64(float(part))
        meter.add({"sum": Sum(value), "ratio": Ratio(value, f64(2.0)), "last": Last(value)}, part)
    assert meter.means() == {"sum": 15.0, "ratio": 1.5, "last": 5.0}


def test_a_ratio_of_nothing_is_nan() -> None:
    meter = Meter(CPU)
    meter.add({"ratio": Ratio(f64(0.0), f64(0.0))}, 1)
    assert math.isnan(meter.means()["ratio"])


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6, 1e9])
def test_r2_agrees_with_scikit_learn_on_targets_far_from_zero(offset: float) -> None:
    generator = torch.Generator().manual_seed(1)
    targets = offset + torch.randn(1003, dtype=torch.float64, generator=generator)
    outputs = targets + 0.5 * torch.randn(1003, dtype=torch.float64, generator=generator)
    meter = Meter(CPU)
    for t, o in zip(targets.split(64), outputs.split(64), strict=True):
        meter.add({"r2": R2(o, t)}, len(t))
    assert meter.means()["r2"] == pytest.approx(r2_score(targets.numpy(), outputs.numpy()), abs=1e-6)


def test_r2_of_one_sample_or_constant_targets_is_nan() -> None:
    for targets in (torch.ones(1), torch.ones(5)):
        meter = Meter(CPU)
        meter.add({"r2": R2(targets + 1, targets)}, len(targets))
        assert math.isnan(meter.means()["r2"])


def test_metrics_that_only_some_batches_have_are_averaged_over_those() -> None:
    for capacity in (1, 2, 256):
        meter = Meter(CPU, capacity)
        meter.add({"loss": f64(1.0)}, 1)
        meter.add({"loss": f64(2.0), "rare": f64(10.0), "sum": Sum(f64(1.0))}, 3)
        meter.add({"loss": f64(3.0)}, 4)
        meter.add({"rare": f64(20.0), "loss": f64(4.0)}, 1)
        means = meter.means()
        assert means["loss"] == pytest.approx((1 + 6 + 12 + 4) / 9)
        assert means["rare"] == pytest.approx((30 + 20) / 4)
        assert means["sum"] == 1.0
        window = meter.window()
        assert window["rare"] == pytest.approx(12.5)


def test_a_window_tells_its_own_mean_and_the_extremes_of_its_losses() -> None:
    meter = Meter(CPU)
    for loss in (9.0, 9.0):
        meter.add({"loss": f64(loss)}, 1)
    meter.send()
    meter.receive()
    meter.clear_window()
    assert meter.window() == {}
    for loss, count in ((1.0, 1), (4.0, 3)):
        meter.add({"loss": f64(loss), "accuracy": f64(0.25)}, count)
    meter.send()
    meter.receive()
    assert meter.window() == {"loss": 3.25, "accuracy": 0.25, "loss_min": 1.0, "loss_max": 4.0}
    assert meter.means()["loss"] == pytest.approx((18.0 + 13.0) / 6)


def test_a_window_counts_losses_that_are_no_numbers() -> None:
    meter = Meter(CPU)
    for step, loss in enumerate((1.0, math.nan, math.inf, math.inf), 1):
        # The last two are parts of one step.
        meter.step = min(step, 3)
        meter.add({"loss": f64(loss)}, 1)
    meter.send()
    meter.receive()
    assert (meter.window_bad, meter.bad_step, meter.bad_in_a_row) == (2, 2, 2)
    assert meter.window()["loss_max"] == 1.0


def test_state_taken_in_mid_epoch_goes_on_as_if_nothing_had_happened() -> None:
    generator = torch.Generator().manual_seed(3)
    batches = [torch.randn(n, dtype=torch.float64, generator=generator) for n in (5, 5, 2, 7, 1)]

    def add(meter: Meter, batch: torch.Tensor) -> None:
        reducers: dict[str, torch.Tensor | Reducer] = {
            "loss": batch.mean(),
            "ppl": Mean(batch.mean(), then=math.exp),
            "r2": R2(batch + 0.1, batch + 3),
            "sum": Sum(batch.sum()),
            "last": Last(batch[-1]),
        }
        meter.add(reducers, len(batch))

    whole, first, second = Meter(CPU), Meter(CPU), Meter(CPU)
    for batch in batches:
        add(whole, batch)
    for batch in batches[:2]:
        add(first, batch)
    second.load_state_dict(first.state_dict())
    assert second.means() == first.means()
    for batch in batches[2:]:
        add(second, batch)
    assert second.means() == pytest.approx(whole.means(), rel=1e-12)


def test_a_state_holds_plain_numbers_only(tmp_path: object) -> None:
    meter = Meter(CPU)
    meter.add({"loss": torch.tensor(1.0), "sum": Sum(torch.tensor(2.0))}, torch.tensor(2))
    state = meter.state_dict()

    def leaves(value: object) -> list[object]:
        return (
            [leaf for part in value.values() for leaf in leaves(part)] if isinstance(value, dict) else [value]
        )

    flat = [leaf for value in leaves(state) for leaf in (value if isinstance(value, list) else [value])]
    assert {type(leaf) for leaf in flat} == {float}


def test_more_batches_than_fit_between_two_rows_are_all_counted() -> None:
    meter = Meter(CPU, capacity=4)
    for number in range(19):
        meter.add({"loss": torch.tensor(float(number))}, 1)
    assert meter.means()["loss"] == 9.0


def test_a_reset_forgets_everything() -> None:
    meter = Meter(CPU)
    meter.add({"loss": torch.tensor(1.0), "a": torch.tensor(1.0)}, 1)
    meter.send()
    meter.add({"loss": torch.tensor(1.0), "a": torch.tensor(1.0)}, 1)
    meter.reset()
    assert meter.means() == {}
    meter.add({"loss": torch.tensor(3.0)}, 1)
    assert meter.means() == {"loss": 3.0}


def test_no_gradient_graph_is_kept() -> None:
    meter = Meter(CPU)
    weight = torch.ones(3, requires_grad=True)
    hidden = weight * 2
    loss = hidden.sum()
    reducer = Ratio(loss, loss)
    gone = weakref.ref(hidden)
    meter.add({"loss": loss, "ratio": reducer, "mean": Mean(loss)}, 3)
    del hidden, loss
    gc.collect()
    assert gone() is None
    assert all(not value.requires_grad for value in reducer.values)
    assert not meter._buffer.requires_grad


def test_values_of_any_scalar_kind_are_taken() -> None:
    meter = Meter(CPU)
    meter.add({"loss": torch.tensor([2.0]), "hits": torch.tensor(3), "half": torch.tensor(0.5).half()}, 1)
    assert meter.means() == {"loss": 2.0, "hits": 3.0, "half": 0.5}


def test_a_loss_that_is_no_scalar_is_refused_with_its_shape() -> None:
    with pytest.raises(TrainerError, match=r"\(4,\)") as caught:
        Meter(CPU).add({"loss": torch.ones(4)}, 4)
    assert caught.value.hint


def test_a_reducer_of_ones_own_can_merge_batches() -> None:
    class Largest(Reducer):
        combine = "merge"

        def merge(self, totals, values):  # type: ignore[no-untyped-def]
            return [max(totals[0], values[0])]

    meter = Meter(CPU, capacity=2)
    data = np.array([0.5, 3.0, 2.0])
    for value in data:
        meter.add({"largest": Largest(torch.tensor(value))}, 1)
    assert meter.means()["largest"] == 3.0


def test_a_confusion_matrix_is_that_of_all_batches() -> None:
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(1000, 7, generator=generator)
    targets = torch.randint(0, 6, (1000,), generator=generator)
    targets[::10] = -100
    meter = Meter(CPU, capacity=3)
    for part in torch.arange(1000).split(64):
        loss = torch.tensor(1.0)
        matrix = ConfusionMatrix(outputs[part], targets[part])
        meter.add({"loss": loss, "f1": matrix, "last": Last(loss)}, len(part))
    counted = targets >= 0
    expected = f1_score(targets[counted], outputs[counted].argmax(1), average="macro", zero_division=0)
    assert meter.means() == {"loss": 1.0, "f1": pytest.approx(expected), "last": 1.0}

    again = Meter(CPU)
    again.load_state_dict(meter.state_dict())
    again.add({"f1": ConfusionMatrix(outputs[:64], targets[:64])}, 64)
    twice = torch.cat([torch.arange(1000), torch.arange(64)])
    twice = twice[targets[twice] >= 0]
    expected = f1_score(targets[twice], outputs[twice].argmax(1), average="macro", zero_division=0)
    assert again.means()["f1"] == pytest.approx(expected)


def test_a_matrix_counts_in_whole_numbers() -> None:
    # float32 stands still at 2**24, which a few large masks have pixels for.
    (counts,) = ConfusionMatrix(torch.zeros(4, 2), torch.zeros(4, dtype=torch.long)).values
    assert counts.dtype == torch.int32
    assert counts.tolist() == [4, 0, 0, 0]


def test_metrics_may_change_their_size_between_epochs() -> None:
    meter = Meter(CPU)
    outputs, targets = torch.eye(4), torch.arange(4)
    for values in (
        {"loss": torch.tensor(1.0), "a": Last(torch.tensor(5.0))},
        {"f1": ConfusionMatrix(outputs, targets), "loss": torch.tensor(2.0)},
        {"f1": ConfusionMatrix(outputs[:, :3], targets.clamp(max=2)), "a": Last(torch.tensor(7.0))},
    ):
        meter.reset()
        meter.add(values, 4)
        meter.add(values, 4)
        means = meter.means()
        assert means.get("loss") == (float(values["loss"]) if "loss" in values else None)
        assert means.get("a") == (float(values["a"].values[0]) if "a" in values else None)
        if "f1" in values:
            assert 0.7 < means["f1"] <= 1.0


def test_a_matrix_without_logits_needs_the_number_of_classes() -> None:
    classes = torch.tensor([0, 1, 1])
    assert ConfusionMatrix(classes, torch.tensor([0, 1, 0]), classes=2).values[0].tolist() == [1, 1, 0, 1]
    with pytest.raises(ValueError, match="number of classes"):
        ConfusionMatrix(classes, classes)
