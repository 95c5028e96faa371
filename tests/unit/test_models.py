"""The built-in networks: shapes, trainability, and all that was fitted inside of the state_dict."""

import io

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from tui_trainer.models.cnn import CNN
from tui_trainer.models.layers import Standardize, json_tensor, json_value
from tui_trainer.models.mlp import MLP
from tui_trainer.models.resnet import ResNet
from tui_trainer.models.tabular import TabularNet


def test_standardize_is_sklearns() -> None:
    x = np.random.default_rng(0).normal(5, 3, (50, 4)).astype(np.float32)
    x[:, 2] = 7
    layer = Standardize(x.mean(0), x.std(0))
    expected = StandardScaler().fit_transform(x)
    np.testing.assert_allclose(layer(torch.from_numpy(x)).numpy(), expected, atol=1e-5)


def test_standardize_takes_bytes_and_is_saved() -> None:
    layer = Standardize(torch.full((3, 1, 1), 100.0), torch.full((3, 1, 1), 50.0))
    out = layer(torch.full((2, 3, 4, 4), 200, dtype=torch.uint8))
    assert out.dtype == torch.float32
    assert torch.equal(out, torch.full((2, 3, 4, 4), 2.0))
    other = Standardize(torch.zeros(3, 1, 1), torch.ones(3, 1, 1))
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.mean, layer.mean)


def test_mlp_is_the_seeds() -> None:
    model = MLP(64, 128, 3, 10)
    sizes = [
        (layer.in_features, layer.out_features) for layer in model.modules() if isinstance(layer, nn.Linear)
    ]
    assert sizes == [(64, 128), (128, 128), (128, 128), (128, 10)]
    assert model(torch.zeros(5, 1, 8, 8)).shape == (5, 10)
    assert isinstance(MLP(4, 8, 0, 2).layers[-1], nn.Linear)


@pytest.mark.parametrize("network", [CNN, ResNet])
@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (3, (4, 7)), (3, (32, 32)), (1, (224, 200))])
def test_image_networks_take_any_size(network: type, channels: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = network(channels, size, width=4, n_out=5, **{"n_stages" if network is CNN else "n_blocks": 2})
    images = torch.randint(0, 256, (2, channels, *size)).float()
    out = model(images)
    assert out.shape == (2, 5)
    out.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    # In evaluation a sample's output does not depend on its batch.
    torch.testing.assert_close(model(images)[:1], model(images[:1]))


def test_resnet_20_has_the_papers_size() -> None:
    model = ResNet(3, (32, 32), width=16, n_blocks=3, n_out=10)
    assert (
        sum(isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3) for layer in model.modules()) == 19
    )
    # He et al. give 0.27 M parameters.
    assert 0.26e6 < sum(p.numel() for p in model.parameters()) < 0.28e6


def tabular(**changes: object) -> TabularNet:
    torch.manual_seed(0)
    arguments = {
        "mean": [10.0, 0.0],
        "std": [2.0, 1.0],
        "gaps": [1],
        "categories": [4, 3],
        "latent_dim": 8,
        "n_layers": 1,
        "n_out": 3,
        "schema": {"classes": ["ä", "b", "c"]},
    }
    return TabularNet(**{**arguments, **changes}).eval()  # type: ignore[arg-type]


def test_missing_number_counts_as_the_mean() -> None:
    model = tabular(gaps=[])
    gap, mean = torch.tensor([[float("nan"), 1.0, 2.0, 0.0]]), torch.tensor([[10.0, 1.0, 2.0, 0.0]])
    assert torch.equal(model(gap), model(mean))
    indicated = tabular(gaps=[0])
    assert not torch.equal(indicated(gap), indicated(mean))


def test_unseen_category_adds_nothing() -> None:
    model = tabular()
    assert model.embedding is not None
    rows = model.embedding(model.offsets + 1)
    assert torch.equal(rows, torch.zeros_like(rows))
    assert model(torch.tensor([[1.0, 1.0, 1.0, 1.0]])).isfinite().all()


def test_regression_answers_in_the_targets_unit() -> None:
    model = tabular(n_out=1, target=(500.0, 20.0))
    with torch.no_grad():
        model.mlp.layers[-1].weight.zero_()  # type: ignore[union-attr,operator]
        model.mlp.layers[-1].bias.fill_(2.0)  # type: ignore[union-attr,operator]
    assert model(torch.zeros(4, 4)).tolist() == [540.0] * 4


def test_tabular_state_dict_holds_what_was_fitted() -> None:
    model = tabular(n_out=1, target=(500.0, 20.0))
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert state["standardize.mean"].tolist() == [10.0, 0.0]
    assert (state["target_mean"].item(), state["target_std"].item()) == (500.0, 20.0)
    assert json_value(state["schema"]) == {"classes": ["ä", "b", "c"]}
    other = tabular(n_out=1, target=(0.0, 1.0), mean=[0.0, 0.0])
    other.load_state_dict(state)
    rows = torch.tensor([[9.0, float("nan"), 3.0, 2.0]])
    assert torch.equal(other(rows), model(rows))


def test_json_tensor() -> None:
    assert json_tensor(["é"]).dtype == torch.uint8
    assert json_value(json_tensor({"a": [1, None, "é"]})) == {"a": [1, None, "é"]}
