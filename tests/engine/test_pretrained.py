"""`load_weights`: a model, or a part of it, with weights that were trained elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import Points, assert_same_weights, weights
from tui_trainer import TrainerError, load_weights, train
from tui_trainer.errors import FileError


class Network(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 12), nn.BatchNorm1d(12))
        self.head = nn.Linear(12, classes)

    def forward(self, inputs: Any) -> Any:
        return self.head(self.backbone(inputs))


@pytest.mark.parametrize("inside", [None, "state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod."])
def test_a_part_of_a_model_takes_what_is_its_own(tmp_path: Path, inside: str | None, prefix: str) -> None:
    trained = nn.Sequential(nn.Linear(8, 12), nn.BatchNorm1d(12))
    saved: Any = {f"{prefix}{name}": tensor for name, tensor in trained.state_dict().items()}
    saved[f"{prefix}fc.weight"] = torch.zeros(1000, 12)
    beside = {"epoch": 90, "best_acc1": torch.tensor(76.1)}
    torch.save({inside: saved, **beside} if inside else saved, tmp_path / "net.pth")
    network = Network()
    unused = load_weights(network.backbone, tmp_path / "net.pth")
    assert_same_weights(network.backbone.state_dict(), trained.state_dict())
    assert unused == [f"{prefix}fc.weight"]


def test_lazy_layers_get_their_shapes_from_the_file(tmp_path: Path) -> None:
    trained, network = nn.Linear(8, 3), nn.LazyLinear(3)
    torch.save(trained.state_dict(), tmp_path / "net.pt")
    load_weights(network, tmp_path / "net.pt")
    assert torch.equal(network.weight, trained.weight)


@pytest.mark.parametrize("skip", [["head.*"], "head.*"])
def test_layers_of_another_task_keep_their_own(tmp_path: Path, skip: Any) -> None:
    trained, network = Network(classes=10), Network(classes=3)
    torch.save(trained.state_dict(), tmp_path / "net.pt")
    head = network.head.weight.clone()
    load_weights(network, tmp_path / "net.pt", skip=skip)
    assert torch.equal(network.backbone[0].weight, trained.backbone[0].weight)
    assert torch.equal(network.head.weight, head)


@pytest.mark.parametrize(
    ("saved", "words"),
    [
        (Network(10).state_dict(), r"head.weight has shape \(10, 12\), not \(3, 12\); head.bias has shape"),
        (
            nn.Linear(8, 12).state_dict(),
            "lacks backbone.0.weight, backbone.0.bias, backbone.1.weight and 6 more; it has weight, bias",
        ),
        ({"epoch": 3}, "holds a dict without tensors"),
        ([torch.zeros(2)], "holds a list without tensors"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, saved: Any, words: str) -> None:
    torch.save(saved, tmp_path / "net.pt")
    network = Network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(FileError, match=words):
        load_weights(network, tmp_path / "net.pt")
    assert_same_weights(network.state_dict(), before)


class Frozen(Points):
    """The first layer's weights come from a file, and stay."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def model(self, hparams: Any) -> nn.Module:
        model = super().model(hparams)
        assert isinstance(model, nn.Sequential)
        load_weights(model[0], self.path)
        return model.requires_grad_(False).append(nn.Linear(3, 3))


def test_a_frozen_backbone_stays_as_it_was_loaded(tmp_path: Path) -> None:
    first = nn.Linear(8, 12)
    torch.save(first.state_dict(), tmp_path / "first.pt")
    result = train(Frozen(tmp_path / "first.pt"), {"epochs": 2}, runs_dir=tmp_path / "runs")
    trained = weights(result.run_dir, 2)
    assert torch.equal(trained["0.weight"], first.weight)


def test_a_missing_file_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match=r"absent\.pt"):
        load_weights(Network(), tmp_path / "absent.pt")
