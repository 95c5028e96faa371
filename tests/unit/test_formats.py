"""Formats on disk: whatever the format, the same data give the same training set; large data are mapped."""

from __future__ import annotations

import io
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_iris

from tui_trainer.datasets import images as disk
from tui_trainer.datasets import scratch, text
from tui_trainer.datasets.arrays import Arrays, open_npy
from tui_trainer.datasets.columns import ColumnBuilder
from tui_trainer.datasets.scratch import Scratch
from tui_trainer.datasets.tables import read_table
from tui_trainer.errors import FileError, TrainerError, UsageError
from tui_trainer.tasks.char_lm import CharLM, CharLMHparams
from tui_trainer.tasks.images import Images, ImagesHparams
from tui_trainer.tasks.seq2seq import Seq2Seq, Seq2SeqHparams
from tui_trainer.tasks.tabular import Tabular, TabularHparams

NAMES = ("a", "b", "c", "d")
X, Y = load_iris(return_X_y=True)
KINDS = np.array(load_iris().target_names)[Y]


@pytest.fixture
def mapped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Data of any size count as large."""
    monkeypatch.setattr(scratch, "LARGE", -1)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write_csv(path: Path, delimiter: str = ",") -> None:
    lines = [delimiter.join((*NAMES, "kind"))]
    lines += [delimiter.join((*map(repr, map(float, x)), kind)) for x, kind in zip(X, KINDS, strict=True)]
    path.write_text("\n".join(lines))


def records() -> list[dict[str, Any]]:
    return [
        {**dict(zip(NAMES, map(float, x), strict=True)), "kind": str(kind)}
        for x, kind in zip(X, KINDS, strict=True)
    ]


def structured() -> np.ndarray:
    table = np.zeros(len(X), [*((name, "f8") for name in NAMES), ("kind", "U10")])
    for i, name in enumerate(NAMES):
        table[name] = X[:, i]
    table["kind"] = KINDS
    return table


def arrow_table(columns: dict[str, Any], features: dict[str, Any] | None = None) -> Any:
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table(columns)
    noted = json.dumps({"info": {"features": features or {}}})
    return table.replace_schema_metadata({"huggingface": noted})


def save_to_disk(folder: Path, **splits: Any) -> None:
    """What Hugging Face's `datasets` writes: a stream of record batches in two files, and their names."""
    import pyarrow

    folder.mkdir()
    if "" not in splits:
        (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    for name, table in splits.items():
        place = folder / name
        place.mkdir(exist_ok=True)
        half = len(table) // 2
        for number, part in enumerate((table[:half], table[half:])):
            with pyarrow.ipc.new_stream(place / f"data-{number}.arrow", table.schema) as stream:
                stream.write_table(part, max_chunksize=7)
        files = [{"filename": f"data-{number}.arrow"} for number in range(2)]
        (place / "state.json").write_text(json.dumps({"_data_files": files}))


def columns() -> dict[str, Any]:
    return {**{name: X[:, i] for i, name in enumerate(NAMES)}, "kind": KINDS.tolist()}


CLASS_LABEL = {"kind": {"_type": "ClassLabel", "names": ["setosa", "versicolor", "virginica"]}}


def write_parquet(path: Path) -> None:
    table = arrow_table(columns())
    from pyarrow import parquet

    parquet.write_table(table, path)


TABLES = {
    "t.csv": (write_csv, "kind"),
    "t.tsv": (lambda path: write_csv(path, "\t"), "kind"),
    "t.json": (lambda path: path.write_text(json.dumps(records())), "kind"),
    "t.jsonl": (lambda path: path.write_text("\n".join(map(json.dumps, records()))), "kind"),
    "t.npy": (lambda path: np.save(path, structured()), "kind"),
    "matrix.npy": (lambda path: np.save(path, np.c_[X, Y]), "4"),
    "xy.npz": (lambda path: np.savez(path, X=X, y=KINDS), None),
    "packed.npz": (lambda path: np.savez_compressed(path, data=X, target=Y[:, None]), None),
    "columns.npz": (lambda path: np.savez(path, **columns()), "kind"),
    "t.parquet": (write_parquet, "kind"),
    "saved": (lambda path: save_to_disk(path, **{"": arrow_table(columns())}), "kind"),
    "classes": (
        lambda path: save_to_disk(path, **{"": arrow_table({**columns(), "kind": Y}, CLASS_LABEL)}),
        None,
    ),
}


def tabular(path: Path, **values: Any) -> tuple[Tabular, Any]:
    task = Tabular()
    return task, task.datasets(TabularHparams(dataset_path=str(path), **values))


def assert_same(found: Any, expected: Any) -> None:
    for part, other in zip(found, expected, strict=True):
        for tensor, same in zip(part, other, strict=True):
            assert torch.equal(tensor, same)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_the_same_in_every_format(name: str, tmp_path: Path) -> None:
    make, target = TABLES[name]
    write_csv(tmp_path / "plain.csv")
    _, expected = tabular(tmp_path / "plain.csv", target="kind", val_size=0.2)
    make(tmp_path / name)
    task, found = tabular(tmp_path / name, target=target, val_size=0.2)
    assert_same(found, expected)
    assert task.model(TabularHparams())(found[0][0]).shape == (len(found[0][0]), 3)


@pytest.mark.parametrize("name", ["t.npy", "columns.npz", "t.parquet", "t.jsonl"])
def test_numbers_taken_as_categories_are_the_texts_of_a_csv(name: str, tmp_path: Path) -> None:
    write_csv(tmp_path / "plain.csv")
    TABLES[name][0](tmp_path / name)
    found, expected = (
        tabular(tmp_path / file, target="kind", categorical=NAMES[0]) for file in (name, "plain.csv")
    )
    assert_same(found[1], expected[1])


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_a_column_of_numbers_in_one_file_and_texts_in_another_is_of_texts(
    order: tuple[int, ...], tmp_path: Path
) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [pyarrow.array([2**60 + 1, 7, 2**60]), pyarrow.array(["x", "7", ""]), pyarrow.nulls(3)]
    for place, index in enumerate(order):
        table = pyarrow.table({"a": columns[index], "y": [1.5, 2.5, 3.5]})
        parquet.write_table(table, tmp_path / f"part{place}.parquet")
    column = read_table(tmp_path).columns["a"]
    texts = [[str(2**60 + 1), "7", str(2**60)], ["x", "7", None], [None] * 3]
    assert [column.text(row) for row in range(9)] == [text for index in order for text in texts[index]]


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.npy", "xy.npz"])
def test_a_large_table_is_mapped_and_trains_alike(
    name: str, tmp_path: Path, mapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, target = TABLES[name]
    make(tmp_path / name)
    monkeypatch.setattr("tui_trainer.datasets.encoding._PIECE_BYTES", 100)
    monkeypatch.setattr("tui_trainer.datasets.encoding._PIECE", 7)
    _, found = tabular(tmp_path / name, target=target)
    monkeypatch.undo()
    _, expected = tabular(tmp_path / name, target=target)
    assert_same(found, expected)


def test_what_is_mapped_leaves_no_file(tmp_path: Path, mapped: Path) -> None:
    store = Scratch(2, 10, np.int64, 160)
    for start in range(0, 9, 3):
        store.append(1, np.arange(start, start + 3))
        store.append(0, np.arange(2))
    store.change(1, lambda values: values * 2)
    assert isinstance(store.array(1), np.memmap)
    assert store.array(1).tolist() == list(range(0, 18, 2))
    assert store.array(0).tolist() == [0, 1] * 3
    store.clear(0)
    assert len(store.array(0)) == 0
    assert list(mapped.rglob("*")) == [mapped / "tui-trainer"]


def test_a_full_disk_is_told(tmp_path: Path, mapped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    store = Scratch(1, 10, np.int64, 80)
    monkeypatch.setattr(scratch.os, "pwrite", full)
    with pytest.raises(FileError, match=r"cache/tui-trainer: No space left") as caught:
        store.append(0, np.arange(3))
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_splits_of_the_datas_own_are_used(tmp_path: Path) -> None:
    test = np.arange(150) % 3 == 0
    np.savez(tmp_path / "s.npz", x_train=X[~test], y_train=Y[~test], x_test=X[test], y_test=Y[test])
    _, parts = tabular(tmp_path / "s.npz", val_size=0.25)
    assert [len(part[0]) for part in parts] == [75, 25, 50]
    assert parts[2][1].tolist() == Y[test].tolist()
    table = arrow_table(columns())
    save_to_disk(tmp_path / "d", train=table[:100], test=table[100:], unsupervised=table)
    _, parts = tabular(tmp_path / "d", target="kind")
    assert [len(part[0]) for part in parts] == [100, 50]


def test_a_column_of_too_many_texts_or_of_lists_is_refused_unless_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui_trainer.datasets.columns.MOST_TEXTS", 10)
    (tmp_path / "t.csv").write_text("id,a,y\n" + "".join(f"n{i},{i},{i % 2}\n" for i in range(30)))
    with pytest.raises(FileError, match='"id" holds more than 10 different texts'):
        tabular(tmp_path / "t.csv", target="y")
    with pytest.raises(FileError, match='the target "id" holds more than 10'):
        tabular(tmp_path / "t.csv", target="id")
    _, (train, _) = tabular(tmp_path / "t.csv", target="y", ignore="id")
    assert train[0].shape == (24, 1)


def test_ignored_columns_of_any_kind_are_no_hindrance_to_predictions(tmp_path: Path) -> None:
    table = arrow_table({**columns(), "id": range(150), "tags": [["a"]] * 150})
    from pyarrow import parquet

    parquet.write_table(table, tmp_path / "t.parquet")
    task, _ = tabular(tmp_path / "t.parquet", target="kind", ignore="id,tags")
    hparams = TabularHparams(ignore="id,tags")
    rows = [row for row, _ in task.read_inputs(hparams, tmp_path / "t.parquet")]
    assert rows[149] == {"row": 149, "id": "149"}


def test_a_builder_of_numbers_and_texts_knows_late_texts() -> None:
    builder = ColumnBuilder("a", False, Scratch(1, 4, np.int64, 32), 0)
    builder.add(["1", "2"])
    builder.add(["x"])
    assert builder.late
    builder.restart()
    builder.add(["1", "2", "x"])
    assert builder.column().texts == ("1", "2", "x")


# Arrays


def test_arrays_are_mapped_unless_compressed(tmp_path: Path) -> None:
    values = np.arange(6.0).reshape(2, 3)
    for name, order in (("c", values), ("f", np.asfortranarray(values))):
        np.save(tmp_path / f"{name}.npy", order)
        np.savez(tmp_path / f"{name}.npz", first=np.zeros(3), x=order, empty=np.empty((0, 2)))
        np.savez_compressed(tmp_path / f"{name}-packed.npz", x=order)
        assert isinstance(open_npy(tmp_path / f"{name}.npy"), np.memmap)
        arrays = Arrays(tmp_path / f"{name}.npz")
        assert isinstance(arrays["x"], np.memmap)
        assert arrays["empty"].shape == (0, 2)
        for found in (
            open_npy(tmp_path / f"{name}.npy"),
            arrays["x"],
            Arrays(tmp_path / f"{name}-packed.npz")["x"],
        ):
            np.testing.assert_array_equal(found, values)
    assert sorted(Arrays(tmp_path)) == ["c", "f"]
    with pytest.raises(KeyError):
        arrays["y"]


# Images


PIXELS = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
LABELS = np.arange(20) % 2


def encoded() -> list[dict[str, Any]]:
    found = []
    for pixels in PIXELS:
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, "PNG")
        found.append({"bytes": data.getvalue(), "path": None})
    return found


def write_image_parquet(path: Path) -> None:
    table = arrow_table({"image": encoded(), "label": LABELS})
    from pyarrow import parquet

    parquet.write_table(table, path)


def write_folder(path: Path) -> None:
    path.mkdir()
    np.save(path / "images.npy", PIXELS)
    np.save(path / "labels.npy", LABELS)


IMAGES = {
    "last.npz": lambda path: np.savez(path, X=PIXELS, y=LABELS),
    "first.npz": lambda path: np.savez_compressed(
        path, images=np.moveaxis(PIXELS, 3, 1), labels=LABELS[:, None]
    ),
    "unit.npz": lambda path: np.savez(path, x=(PIXELS / 255).astype(np.float32), y=LABELS.astype(float)),
    "wide.npz": lambda path: np.savez(path, x=PIXELS.astype(np.uint16) * 257, y=LABELS.astype(str)),
    "folder": write_folder,
    "t.parquet": write_image_parquet,
    "saved": lambda path: save_to_disk(path, **{"": arrow_table({"image": encoded(), "label": LABELS})}),
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", IMAGES)
def test_images_are_the_same_in_every_format(
    name: str, lazy: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lazy:
        monkeypatch.setattr(disk, "_IN_MEMORY_ARRAY", 0)
        monkeypatch.setattr(disk, "_IN_MEMORY_PIXELS", 0)
    IMAGES[name](tmp_path / name)
    task = Images()
    parts = task.datasets(ImagesHparams(dataset_path=str(tmp_path / name), test_size=0.5))
    if lazy:
        parts = [pickle.loads(pickle.dumps(part)).__getitems__(range(len(part))) for part in parts]
    found = {
        image.numpy().tobytes(): int(label) for part in parts for image, label in zip(*part, strict=True)
    }
    expected = np.moveaxis(PIXELS, 3, 1)
    assert found == {image.tobytes(): int(y) for image, y in zip(expected, LABELS, strict=True)}
    torch.testing.assert_close(
        task._statistics[0].flatten(), parts[0][0].double().mean((0, 2, 3)).float(), rtol=1e-5, atol=0
    )


def test_splits_and_names_of_classes_of_a_saved_set(tmp_path: Path) -> None:
    features = {"fine": {"_type": "ClassLabel", "names": ["cat", "dog"]}, "img": {"_type": "Image"}}
    table = arrow_table({"img": encoded(), "fine": LABELS, "n": LABELS}, features)
    save_to_disk(tmp_path / "d", train=table[:12], validation=table[12:16], test=table[16:])
    task = Images()
    parts = task.datasets(ImagesHparams(dataset_path=str(tmp_path / "d"), channels="gray"))
    assert [tuple(x.shape) for x, _ in parts] == [(12, 1, 6, 5), (4, 1, 6, 5), (4, 1, 6, 5)]
    assert task.classes == ("cat", "dog")
    task.datasets(ImagesHparams(dataset_path=str(tmp_path / "d"), label_column="n"))
    assert task.classes == ("0", "1")
    with pytest.raises(UsageError, match='no column "fin"; did you mean fine'):
        task.datasets(ImagesHparams(dataset_path=str(tmp_path / "d"), label_column="fin"))


def test_mnists_npz(tmp_path: Path) -> None:
    gray = PIXELS[..., 0]
    np.savez(
        tmp_path / "mnist.npz", x_train=gray[:12], y_train=LABELS[:12], x_test=gray[12:], y_test=LABELS[12:]
    )
    (x, y), (x_test, _) = Images().datasets(ImagesHparams(dataset_path=str(tmp_path / "mnist.npz")))
    assert (x.shape, y.tolist(), len(x_test)) == ((12, 1, 6, 5), LABELS[:12].tolist(), 8)
    assert torch.equal(x[:, 0], torch.from_numpy(gray[:12]))


@pytest.mark.parametrize("kind", ["gif", "cmyk", "sixteen", "palette", "opacity"])
def test_pictures_of_rare_kinds_are_read(kind: str, tmp_path: Path) -> None:
    for i in range(4):
        folder = tmp_path / "ab"[i % 2]
        folder.mkdir(exist_ok=True)
        frames = [Image.fromarray(PIXELS[i + j]) for j in range(2)]
        if kind == "gif":
            frames[0].save(folder / f"{i}.gif", save_all=True, append_images=frames[1:])
        elif kind == "cmyk":
            frames[0].convert("CMYK").save(folder / f"{i}.jpg")
        elif kind == "sixteen":
            Image.fromarray(PIXELS[i, ..., 0].astype(np.uint16) * 257).save(folder / f"{i}.png")
        else:
            frames[0].convert("P" if kind == "palette" else "RGBA").save(folder / f"{i}.png")
    (x, _), _ = Images().datasets(ImagesHparams(dataset_path=str(tmp_path), test_size=0.5))
    assert x.shape == (2, 1 if kind == "sixteen" else 3, 6, 5)


# Texts


STORY = "It was a dark and stormy night; the rain fell in torrents.\n" * 30


def char_lm(path: Path, **values: Any) -> tuple[CharLM, Any]:
    task = CharLM()
    return task, task.datasets(CharLMHparams(dataset_path=str(path), context=16, **values))


@pytest.mark.parametrize("chunk", [1, 5, 64, 1 << 20])
def test_a_text_is_the_same_in_pieces(
    chunk: int, tmp_path: Path, mapped: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "CHUNK", chunk)
    content = "\ufeffgrün\r\nein 😀 Satz ohne Ende " * 40 + "\r\r."
    (tmp_path / "a.txt").write_bytes(content.encode())
    expected = content.replace("\r\n", "\n").replace("\r", "\n").removeprefix("\ufeff") + "\n"
    assert text.read_corpus(tmp_path / "a.txt") == expected
    assert text.read_corpus(tmp_path / "a.txt", max_chars=77) == expected[:77]
    task, ((windows,), _) = char_lm(tmp_path / "a.txt")
    assert task.vocabulary.decode(windows[0]) == expected[:17]


def test_texts_of_json_lines_parquet_and_saved_sets(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(STORY)
    _, ((plain,), _) = char_lm(tmp_path / "a.txt")
    lines = STORY.splitlines()
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"body": line, "n": 1}) + "\n" for line in lines))
    _, ((found,), _) = char_lm(tmp_path / "a.jsonl", text_column="body")
    assert torch.equal(found, plain)
    table = arrow_table({"body": lines, "text": lines[::-1], "n": list(range(30))})
    save_to_disk(tmp_path / "d", train=table[:20], test=table[20:])
    for column in (None, "body"):
        _, ((found,), (test,)) = char_lm(tmp_path / "d", text_column=column)
        length = len(STORY) // 30
        assert len(found) == (20 * length - 1) // 16
        assert len(test) == (10 * length - 1) // 16
    with pytest.raises(UsageError, match="did you mean body"):
        char_lm(tmp_path / "d", text_column="bodi")


# Pairs


def seq2seq(path: Path, **values: Any) -> tuple[Seq2Seq, Any]:
    task = Seq2Seq()
    return task, task.datasets(Seq2SeqHparams(dataset_path=str(path), **values))


def test_pairs_of_tables_and_saved_sets(tmp_path: Path) -> None:
    pairs = [(f"in, {i}", f"out {i}") for i in range(10)]
    named = [{"source": a, "goal": b} for a, b in pairs]
    columns = {"input_column": "source", "target_column": "goal"}
    (tmp_path / "p.json").write_text(json.dumps(named))
    _, expected = seq2seq(tmp_path / "p.json", **columns)
    (tmp_path / "p.csv").write_text("id,source,goal\n" + "".join(f'1,"{a}",{b}\n' for a, b in pairs))
    _, found = seq2seq(tmp_path / "p.csv", **columns)
    assert_same(found, expected)
    table = arrow_table({key: [pair[key] for pair in named] for key in ("source", "goal")})
    save_to_disk(tmp_path / "d", train=table[:7], test=table[7:])
    _, (train, test) = seq2seq(tmp_path / "d", **columns)
    assert (len(train[0]), len(test[0])) == (7, 3)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_parquet(tmp_path / "t.parquet")
    save_to_disk(tmp_path / "d", **{"": arrow_table(columns())})
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    for name, extra in (("t.parquet", "parquet"), ("d", "hf")):
        with pytest.raises(TrainerError) as caught:
            tabular(tmp_path / name, target="kind")
        assert f"tui-trainer[{extra}]" in caught.value.hint
        assert name in caught.value.message
