"""Saved weights carry the names of the bare network, whatever it was wrapped in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tests.helpers import Points, assert_same_weights, resume, rows, start, weights
from tui_trainer import train
from tui_trainer.engine.checkpoint import load_into, model_state
from tui_trainer.engine.interrupt import StopRequest
from tui_trainer.errors import FileError


def compiled(model: nn.Module) -> nn.Module:
    wrapped: nn.Module = torch.compile(model, backend="eager")  # type: ignore[assignment]
    return wrapped


def parallel(model: nn.Module) -> nn.Module:
    return nn.DataParallel(model)


def bare() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Sequential(nn.ReLU(), nn.Linear(3, 2)))


def parts_compiled(model: nn.Module) -> nn.Module:
    assert isinstance(model, nn.Sequential)
    model[0], model[2] = compiled(model[0]), parallel(compiled(model[2]))
    return model


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "bare": lambda model: model,
    "compiled": compiled,
    "parallel": parallel,
    "compiled and parallel": lambda model: parallel(compiled(model)),
    "parallel and compiled": lambda model: compiled(parallel(model)),
    "its parts": parts_compiled,
    "its parts, parallel": lambda model: parallel(parts_compiled(model)),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_is_saved_loads_into_the_bare_network(name: str) -> None:
    model = WRAPPERS[name](bare())
    state = model_state(model)
    other = bare()
    other.load_state_dict(state)
    assert list(state) == list(other.state_dict())
    for saved, own in zip(state.values(), model.state_dict().values(), strict=True):
        assert torch.equal(saved, own)


FOREIGN: dict[str, Callable[[nn.Module], dict[str, Any]]] = {
    **{name: lambda model, wrap=wrap: wrap(model).state_dict() for name, wrap in WRAPPERS.items()},  # type: ignore[misc]
    "averaged": lambda model: AveragedModel(model).state_dict(),  # type: ignore[no-untyped-call]
}


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("into", WRAPPERS)
def test_weights_with_any_prefix_load_into_any_wrapper(name: str, into: str) -> None:
    state = {key: tensor.clone() + 1 for key, tensor in FOREIGN[name](bare()).items()}
    model = WRAPPERS[into](bare())
    load_into(model, state, Path("model_1.pt"))
    expected = [tensor for key, tensor in state.items() if key != "n_averaged"]
    for loaded, tensor in zip(model.state_dict().values(), expected, strict=True):
        assert torch.equal(loaded, tensor)


class Own(nn.Module):
    """Whose parts are called as wrappers call theirs."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Linear(2, 2)
        self.other = nn.ModuleDict({"module": nn.Linear(2, 1)})


def test_a_part_that_is_called_module_keeps_its_name() -> None:
    state = model_state(compiled(Own()))
    assert list(state) == list(Own().state_dict())
    load_into(compiled(Own()), state, Path("model_1.pt"))
    load_into(Own(), {f"module.{name}": tensor for name, tensor in state.items()}, Path("model_1.pt"))


def test_weights_of_another_network_are_refused_by_name() -> None:
    state = {f"module.{name}": tensor for name, tensor in nn.Sequential(nn.Linear(4, 3)).state_dict().items()}
    with pytest.raises(FileError, match=r"model_1.pt.*does not fit|does not fit.*model_1.pt"):
        load_into(bare(), state, Path("model_1.pt"))


class Wrapped(Points):
    """Its network comes wrapped, as tasks of one's own return it."""

    def model(self, hparams: Any) -> nn.Module:
        model = super().model(hparams)
        assert isinstance(model, nn.Sequential)
        model[0] = compiled(model[0])
        return nn.DataParallel(model)


VALUES = {"epochs": 2, "ema_decay": 0.9, "dropout": 0.2, "log_rate": 0.0}


def test_a_wrapped_network_is_saved_bare_and_resumed_exactly(tmp_path: Path) -> None:
    whole = train(Wrapped(), VALUES, runs_dir=tmp_path).run_dir
    plain = train(Points(), VALUES, runs_dir=tmp_path).run_dir
    assert_same_weights(weights(whole, 2), weights(plain, 2))
    stop = StopRequest()

    def at(number: int) -> None:
        if number == 8:
            stop.request("stop at batch 8")

    cut = start(Wrapped(on_batch=at), tmp_path, VALUES, stop=stop).run_dir
    assert resume(Wrapped(), cut, VALUES).status == "finished"
    assert_same_weights(weights(cut, 2), weights(whole, 2))
    assert rows(cut)["train/loss"].tolist() == rows(whole)["train/loss"].tolist()
    state: dict[str, Tensor] = weights(cut, 2)
    Points().model(Points.hparams_class(**VALUES)).load_state_dict(state)
