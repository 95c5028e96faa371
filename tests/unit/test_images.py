"""The task `images`: folders and IDX files, formats of all kinds, augmentation that repeats, clear errors."""

import gzip
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from tui_trainer.datasets import images as disk
from tui_trainer.datasets.augment import Augmentation, _turned
from tui_trainer.datasets.images import Format, ImageDataset, channel_statistics, decode
from tui_trainer.errors import Exit, TrainerError, UsageError
from tui_trainer.models.layers import json_value
from tui_trainer.tasks.images import Images, ImagesHparams


def picture(path: Path, value: int = 0, size: tuple[int, int] = (12, 12), mode: str = "RGB") -> None:
    random = np.random.default_rng(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


def class_folders(root: Path, classes: str = "ab", each: int = 10, **options: Any) -> Path:
    for number, name in enumerate(classes):
        for i in range(each):
            picture(root / name / f"{i}.png", 100 * number + i, **options)
    return root


def idx(path: Path, values: Any, zipped: bool = False) -> None:
    array = np.asarray(values, np.uint8)
    data = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if zipped else data)


def mnist(root: Path, labels: Any = (3, 5) * 10, test: Any = (5, 3), shape: tuple[int, int] = (6, 5)) -> Path:
    random = np.random.default_rng(0)
    for part, values in (("train", labels), ("t10k", test)):
        if values is not None:
            idx(root / f"{part}-images-idx3-ubyte.gz", random.integers(0, 256, (len(values), *shape)), True)
            idx(root / f"{part}-labels-idx1-ubyte", values)
    return root


def load(folder: Path, **values: Any) -> tuple[Images, ImagesHparams, Any]:
    hparams = ImagesHparams(dataset_path=str(folder), **values)
    task = Images()
    return task, hparams, task.datasets(hparams)


def test_class_folders(tmp_path: Path) -> None:
    task, hparams, ((x, y), (x_test, y_test)) = load(class_folders(tmp_path, "abc"))
    assert (x.shape, x.dtype, y.dtype) == ((24, 3, 12, 12), torch.uint8, torch.int64)
    assert (len(x_test), np.bincount(y_test).tolist()) == (6, [2, 2, 2])
    model = task.model(hparams)
    assert model(x[:5]).shape == (5, 3)
    state = model.state_dict()
    assert json_value(state["classes"]) == ["a", "b", "c"]
    np.testing.assert_allclose(state["features.0.mean"].flatten(), x.double().mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(
        state["features.0.std"].flatten(), x.double().std((0, 2, 3), correction=0), rtol=1e-5
    )


def test_pixels_and_labels_stay_together(tmp_path: Path) -> None:
    _, _, parts = load(class_folders(tmp_path, "ab", each=6), test_size=0.5)
    expected = {
        np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes(): "ab".index(path.parent.name)
        for path in tmp_path.rglob("*.png")
    }
    found = {image.numpy().tobytes(): int(label) for x, y in parts for image, label in zip(x, y, strict=True)}
    assert found == expected


@pytest.mark.parametrize(("evaluated", "splits"), [(("test",), 2), (("val",), 2), (("val", "test"), 3)])
def test_folders_of_its_own_for_each_split(tmp_path: Path, evaluated: tuple[str, ...], splits: int) -> None:
    class_folders(tmp_path / "train")
    for name in evaluated:
        class_folders(tmp_path / name, each=3)
    _, _, parts = load(tmp_path)
    assert [len(part[1]) for part in parts] == [20, *[6] * (splits - 1)]


def test_validation_set_beside_given_test_set(tmp_path: Path) -> None:
    _, _, parts = load(mnist(tmp_path), val_size=0.2)
    assert [len(part[1]) for part in parts] == [16, 4, 2]


@pytest.mark.parametrize("prefix", ["", "emnist-letters-"])
def test_mnists_files(tmp_path: Path, prefix: str) -> None:
    for path in list(mnist(tmp_path).iterdir()):
        path.rename(tmp_path / (prefix + path.name))
    task, hparams, ((x, y), (_, y_test)) = load(tmp_path, network="resnet", latent_dim=2, n_layers=1)
    assert x.shape == (20, 1, 6, 5)
    # Labels 3 and 5 are classes 0 and 1 of the model.
    assert (y.tolist(), y_test.tolist()) == ([0, 1] * 10, [1, 0])
    model = task.model(hparams)
    assert json_value(model.state_dict()["classes"]) == ["3", "5"]
    assert model(x[:3]).shape == (3, 2)


def test_idx_without_test_files_is_split(tmp_path: Path) -> None:
    _, _, parts = load(mnist(tmp_path, test=None), image_size=8, channels="rgb")
    assert [tuple(part[0].shape) for part in parts] == [(16, 3, 8, 8), (4, 3, 8, 8)]


@pytest.mark.parametrize(
    ("mode", "name", "channels"),
    [
        ("RGB", "x.jpg", 3),
        ("L", "x.png", 1),
        ("1", "x.png", 1),
        ("P", "x.gif", 3),
        ("RGBA", "x.webp", 3),
        ("CMYK", "x.tif", 3),
        ("LA", "x.PNG", 1),
    ],
)
def test_formats(tmp_path: Path, mode: str, name: str, channels: int) -> None:
    for folder in "ab":
        for i in range(2):
            picture(tmp_path / folder / f"{i}{name}", i, mode=mode)
    _, _, ((x, _), _) = load(tmp_path, test_size=0.5)
    assert x.shape == (2, channels, 12, 12)


def test_sixteen_bit_gray_keeps_its_range(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    Image.fromarray(np.array([[0, 257 * 100], [257 * 200, 65535]], np.uint16)).save(path)
    assert decode(str(path), Format((2, 2), 1)).tolist() == [[[0, 100], [200, 255]]]


def test_size_is_the_images_own_when_alike_else_64(tmp_path: Path) -> None:
    _, _, ((x, _), _) = load(class_folders(tmp_path, size=(10, 14)))
    assert x.shape[2:] == (14, 10)
    picture(tmp_path / "a" / "wide.png", size=(40, 20))
    _, _, ((x, _), _) = load(tmp_path)
    assert x.shape[2:] == (64, 64)
    _, _, ((x, _), _) = load(tmp_path, image_size=20)
    assert x.shape[2:] == (20, 20)


def test_strange_files_are_not_images(tmp_path: Path) -> None:
    class_folders(tmp_path)
    (tmp_path / "a" / "Thumbs.db").write_bytes(b"x")
    (tmp_path / "a" / "._0.png").write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / ".git").mkdir()
    (tmp_path / "README.md").write_text("x")
    picture(tmp_path / "b" / "deeper" / "x.png")
    _, _, parts = load(tmp_path)
    assert sum(len(part[1]) for part in parts) == 21


def test_lazy_decoding_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_folders(tmp_path)
    _, _, ((x, y), _) = load(tmp_path)
    monkeypatch.setattr(disk, "_IN_MEMORY_FILES", 0)
    task, hparams, (train, test) = load(tmp_path)
    assert isinstance(train, ImageDataset)
    images, targets = train.__getitems__(range(len(train)))
    assert torch.equal(images, x)
    assert torch.equal(targets, y)
    assert torch.equal(train[3][0], x[3])
    assert task.model(hparams)(images).shape == (16, 2)
    again = pickle.loads(pickle.dumps(test))
    assert torch.equal(again.__getitems__([1, 0])[0], test.__getitems__([1, 0])[0])


def test_data_loader_with_workers(tmp_path: Path) -> None:
    _, _, (train, _) = load(class_folders(tmp_path), flip=True)
    loader = DataLoader(train, batch_size=6, num_workers=1, collate_fn=train.collate_fn)
    assert [tuple(images.shape) for images, _ in loader] == [(6, 3, 12, 12), (6, 3, 12, 12), (4, 3, 12, 12)]


def test_only_training_images_are_augmented(tmp_path: Path) -> None:
    _, _, ((x, _), (x_test, _)) = load(class_folders(tmp_path))
    task, _, (train, test) = load(tmp_path, flip=True, crop=2, rotate=10)
    assert torch.equal(test[0], x_test)
    torch.manual_seed(4)
    first = train.__getitems__(range(16))[0]
    second = train.__getitems__(range(16))[0]
    torch.manual_seed(4)
    assert torch.equal(train.__getitems__(range(16))[0], first)
    assert not torch.equal(first, second)
    # Mean and std are those of the images as they are.
    assert torch.allclose(task._statistics[0].flatten(), x.float().mean((0, 2, 3)), rtol=1e-4)


def test_flip_mirrors_about_half() -> None:
    images = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4).repeat(200, 1, 1, 1)
    torch.manual_seed(0)
    flipped = Augmentation(flip=True)(images)
    mirrored = (flipped == images.flip(3)).flatten(1).all(1)
    assert ((flipped == images).flatten(1).all(1) ^ mirrored).all()
    assert 70 < mirrored.sum() < 130


def test_crop_shifts_and_repeats_the_edge() -> None:
    images = torch.arange(25, dtype=torch.uint8).view(1, 1, 5, 5).repeat(100, 2, 1, 1)
    torch.manual_seed(0)
    out = Augmentation(crop=1)(images)
    padded = torch.nn.functional.pad(images[:1].float(), (1, 1, 1, 1), mode="replicate").to(torch.uint8)[0]
    windows = {padded[:, i : i + 5, j : j + 5].numpy().tobytes() for i in range(3) for j in range(3)}
    assert {image.numpy().tobytes() for image in out} == windows


@pytest.mark.parametrize("size", [(9, 9), (7, 15)])
def test_rotation_turns_about_the_centre(size: tuple[int, int]) -> None:
    image = torch.zeros(1, 1, *size, dtype=torch.uint8)
    middle = (size[0] // 2, size[1] // 2)
    image[0, 0, middle[0], middle[1] + 2] = 200
    turned = _turned(image, torch.tensor([90.0]))[0, 0]
    bright = [tuple(place) for place in (turned > 150).nonzero().tolist()]
    assert bright in ([(middle[0] - 2, middle[1])], [(middle[0] + 2, middle[1])])
    assert torch.equal(_turned(image, torch.tensor([0.0])), image)


def test_statistics_of_many_pieces() -> None:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (2500, 3, 2, 2), dtype=torch.uint8)
    mean, std = channel_statistics(images)
    np.testing.assert_allclose(mean.flatten(), images.double().mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(std.flatten(), images.double().std((0, 2, 3), correction=0), rtol=1e-6)


def broken(kind: str, root: Path) -> Path:
    """A data folder with one mistake."""
    if kind == "missing":
        return root / "absent"
    if kind == "a file":
        picture(root / "x.png")
        return root / "x.png"
    if kind == "nothing":
        return root
    if kind == "images without classes":
        picture(root / "x.png")
        return root
    if kind == "idx":
        return mnist(root)
    return class_folders(root)


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("missing", None, "absent does not exist"),
        ("a file", None, "x.png is no folder"),
        ("nothing", None, "no classes: {root} holds neither"),
        ("images without classes", None, "no classes: {root} holds neither"),
        ("folders", ("rmtree", "b"), "a single class: {root} holds one class folder only, a"),
        ("folders", ("mkdir", "c"), "empty class folder: {root}/c holds no image"),
        ("folders", ("write", "a/0.png", b""), "image unreadable: {root}/a/0.png"),
        ("folders", ("write", "a/0.png", b"not an image"), "{root}/a/0.png: no image that Pillow knows"),
        ("folders", ("cut", "a/3.png", 150), "image unreadable: {root}/a/3.png"),
        ("train and test", ("mkdir", "test/z"), "unknown class: {root}/test has z"),
        ("idx", ("cut", "train-labels-idx1-ubyte", 20), "holds 20 bytes, its header (20,) asks for 28"),
        ("idx", ("cut", "train-images-idx3-ubyte.gz", 60), "train-images-idx3-ubyte.gz ends in the middle"),
        ("idx", ("write", "t10k-labels-idx1-ubyte", b"\0\0\0\0hello"), "wrong magic number 00 00 00 00"),
        ("idx", ("rmtree", "train-labels-idx1-ubyte"), "but no train-labels-idx1-ubyte"),
        ("idx", ("labels", "train", [3, 5]), "holds 20 images, {root}/train-labels-idx1-ubyte 2 labels"),
        ("idx", ("labels", "train", [3] * 20), "a single class: all labels are 3"),
        ("idx", ("labels", "t10k", [3, 9]), "the test labels hold 9"),
    ],
)
def test_bad_data(tmp_path: Path, kind: str, change: tuple[Any, ...] | None, words: str) -> None:
    if kind == "train and test":
        class_folders(tmp_path / "train")
        class_folders(tmp_path / "test", each=2)
        folder = tmp_path
    else:
        folder = broken(kind, tmp_path)
    if change is not None:
        action, name, *rest = change
        path = tmp_path / name
        if action == "mkdir":
            path.mkdir(parents=True)
        elif action == "write":
            path.write_bytes(rest[0])
        elif action == "cut":
            path.write_bytes(path.read_bytes()[: rest[0]])
        elif action == "labels":
            idx(tmp_path / f"{name}-labels-idx1-ubyte", rest[0])
        elif path.is_dir():
            path.rename(tmp_path / f".{name}")
        else:
            path.unlink()
    with pytest.raises(TrainerError) as caught:
        load(folder)
    assert words.format(root=tmp_path) in str(caught.value)
    assert caught.value.exit_code == Exit.FILE


def test_lazy_image_that_breaks_later_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_IN_MEMORY_FILES", 0)
    _, _, (train, _) = load(class_folders(tmp_path))
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(TrainerError) as caught:
        train.__getitems__([0])
    assert "image unreadable" in str(caught.value)
    assert ".png" in caught.value.message


def test_no_dataset_path() -> None:
    with pytest.raises(UsageError, match="images needs the folder"):
        Images().datasets(ImagesHparams())
