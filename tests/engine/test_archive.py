"""A `.pt` from anywhere: nothing in it is executed, and what is no plain state is refused with a sentence."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import tempfile
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.crafted import Call, Runs, Stored, archive, little_memory, pickled, tensor
from tui_trainer.engine import checkpoint
from tui_trainer.engine.archive import load, require_torch
from tui_trainer.engine.checkpoint import load_weights, same
from tui_trainer.errors import FileError, TrainerError
from tui_trainer.runs.checkpoints import read_index
from tui_trainer.runs.layout import RunLayout

GOOD = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.zeros(2)}


def saved(value: Any = GOOD, **options: Any) -> bytes:
    data = io.BytesIO()
    torch.save(value, data, **options)
    return data.getvalue()


def zipped(
    members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as file:
        for name, content in members:
            file.writestr(zipfile.ZipInfo(name), content, compression)
        file.comment = comment
    return data.getvalue()


def tarred() -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as file:
        file.addfile(tarfile.TarInfo("storages"))
    return data.getvalue()


PICKLE = pickled({"a": 1})
MEMBERS = [("archive/data.pkl", PICKLE), ("archive/version", b"3\n")]


def renamed(old: bytes, new: bytes) -> bytes:
    """The good archive with a member of another name, in both places."""
    assert len(old) == len(new)
    data = saved()
    assert data.count(old) == 2
    return data.replace(old, new)


def with_offset(name: bytes, offset: int) -> bytes:
    """The good archive with a member that begins elsewhere."""
    data = bytearray(saved())
    entry = data.rindex(name) - 46
    data[entry + 42 : entry + 46] = offset.to_bytes(4, "little")
    return bytes(data)


def another_in_front() -> bytes:
    """Two archives in one: readers that search for the first or the last find different ones."""
    return saved({"other": torch.ones(1)}) + saved()


def other_directory() -> bytes:
    """A locator that leads to a second table of contents, in front of the one that stands before it."""
    data = bytearray(saved())
    record, rest = bytes(data[-98:-42]), bytes(data[-42:])
    moved = bytearray(bytes(data[:-98]) + record + record + rest)
    return bytes(moved)


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "text": (b"epoch,loss\n1,0.5\n", "not written by torch.save"),
    "zeros": (bytes(4096), "not written by torch.save"),
    "bare pickle": (pickle.dumps(GOOD, 2), "torch before 1.6"),
    "format of torch before 1.6": (saved(_use_new_zipfile_serialization=False), "torch before 1.6"),
    "tar": (tarred(), "torch before 1.6"),
    "cut in the middle": (saved()[:400], "cut off"),
    "one byte short": (saved()[:-1], "cut off"),
    "start only": (b"PK\x03\x04", "cut off"),
    "bytes behind it": (saved() + b"x" * 8, "cut off"),
    "comment behind it": (zipped(MEMBERS, comment=b"PK\x05\x06" + bytes(18)), "table of contents"),
    "archive in front of it": (another_in_front(), "table of contents"),
    "second table of contents": (other_directory(), "table of contents"),
    "compressed, a zip bomb": (
        zipped([("archive/data.pkl", bytes(50_000_000))], zipfile.ZIP_DEFLATED),
        "compressed",
    ),
    "name that leads up": (renamed(b"archive/version", b"archive/../ersn"), "archive/../ersn"),
    "absolute name": (renamed(b"archive/version", b"/rchive/version"), "/rchive/version"),
    "backslash": (renamed(b"archive/version", b"archive\\version"), "archive"),
    "NUL": (renamed(b"archive/version", b"archive/ver\0ion"), "x00"),
    "escape sequence": (renamed(b"archive/version", b"archive/\x1b[31mxx"), "x1b"),
    "name twice": (renamed(b"archive/data/0", b"archive/DATA/1"), "twice"),
    "two folders": (renamed(b"archive/version", b"brchive/version"), "not one of torch.save"),
    "no pickle": (zipped([("archive/version", b"3")]), "not one of torch.save"),
    "two pickles": (zipped([*MEMBERS, ("archive/more/data.pkl", PICKLE)]), "not one of torch.save"),
    "overlapping members": (with_offset(b"archive/data/1", 0), "overlaps"),
    "member behind the end": (with_offset(b"archive/data/1", 2**31), "overlaps"),
    "damaged pickle": (saved().replace(b"weight", b"wxight"), "damaged"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_torch_did_not_write_is_refused(name: str, tmp_path: Path) -> None:
    data, says = FILES[name]
    path = tmp_path / "model_1.pt"
    path.write_bytes(data)
    with pytest.raises(FileError) as error:
        load(path)
    assert says in error.value.message
    assert str(path) in error.value.message
    assert error.value.hint
    assert "\x1b" not in error.value.lines()


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def doubling(times: int) -> Any:
    value: Any = [0]
    for _ in range(times):
        value = [value, value]
    return value


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def _sparse(indices: Any, size: tuple[int, ...]) -> Call:
    whole = tensor(Stored("1", 2, torch.LongStorage), (1, 2), (2, 1)) if indices is None else indices
    values = tensor(Stored("0", 2), (2,), (1,))
    return Call(torch._utils._rebuild_sparse_tensor, torch.sparse_coo, (whole, values, size, False))


MEMORY = {"0": bytes(16), "1": np.array([0, 10**9], "<i8").tobytes()}
PICKLES: dict[str, tuple[Any, str]] = {
    "a function that runs": (lambda marker: Runs(marker), "posix.mkdir"),
    "one in a state": (lambda marker: Call(OrderedDict, state=Runs(marker)), "posix.mkdir"),
    "one of protocol 4": (lambda marker: pickled(Runs(marker), 4), "STACK_GLOBAL"),
    "one by INST": (lambda marker: b"(Vx\niposix\nmkdir\n.", "posix.mkdir"),
    "one by extension": (lambda marker: b"\x80\x02\x82\x01)R.", "EXT1"),
    "eval": (lambda marker: Call(eval, f"__import__('os').mkdir({str(marker)!r})"), "eval"),
    "a tensor of any size": (lambda marker: Call(torch.Tensor, 10**12), "torch.Tensor"),
    "a subclass": (
        lambda marker: Call(torch._utils._rebuild_wrapper_subclass, torch.Tensor, torch.float, (9,), (1,), 0),
        "_rebuild_wrapper_subclass",
    ),
    "a tensor without values": (
        lambda marker: Call(torch._utils._rebuild_meta_tensor_no_storage, torch.float, (9,), (1,), False),
        "_rebuild_meta_tensor_no_storage",
    ),
    "a cast of what is repeated": (
        lambda marker: Call(
            torch._utils._rebuild_device_tensor_from_cpu_tensor,
            tensor(Stored(), (10**9,), (0,)), torch.float64, "cpu", False,
        ),
        "_rebuild_device_tensor_from_cpu_tensor",
    ),
    "a tensor larger than its memory": (lambda marker: tensor(Stored(), (100,), (1,)), ""),
    "one far larger": (lambda marker: tensor(Stored(), (10**14,), (1,)), ""),
    "one that begins behind it": (lambda marker: tensor(Stored(), (4,), (1,), offset=10**6), ""),
    "one that begins before it": (lambda marker: tensor(Stored(), (4,), (1,), offset=-4), ""),
    "memory larger than the file": (lambda marker: tensor(Stored(numel=10**6), (4,), (1,)), ""),
    "memory that is not there": (lambda marker: tensor(Stored("7"), (4,), (1,)), ""),
    "one value repeated": (lambda marker: tensor(Stored(), (10**9,), (0,)), "larger than what is stored"),
    "a negative step": (lambda marker: tensor(Stored(), (4,), (-1,)), ""),
    "a negative size": (lambda marker: tensor(Stored(), (-4,), (1,)), ""),
    "a size that overflows": (lambda marker: tensor(Stored(), (2**62, 2**62), (1, 1)), ""),
    "no tensor at all": (lambda marker: Call(torch._utils._rebuild_tensor_v2), ""),
    "sparse indices out of range": (lambda marker: _sparse(None, (4,)), ""),
    "bytes of any number": (lambda marker: Call(bytearray, 10**15), ""),
    "bare memory": (lambda marker: [Stored()], "holds a"),
    "deep nesting": (lambda marker: nested(400), "nested too deeply"),
    "very deep nesting": (lambda marker: b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".", "nested too"),
    "a list that holds itself": (lambda marker: endless(), "nested too deeply"),
    "a few bytes that mean 2^50 lists": (lambda marker: doubling(50), "nested too deeply"),
    "an early end": (lambda marker: b"\x80\x02}", ""),
    "nothing on the stack": (lambda marker: b"\x80\x02.", ""),
    "an unknown memory": (lambda marker: b"\x80\x02h\x07.", ""),
    "a list as a key": (lambda marker: b"\x80\x02}]K\x01s.", ""),
    "a module": (lambda marker: torch.nn.Linear(2, 2), "Linear"),
}  # fmt: skip


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_runs_nothing_and_takes_nothing(name: str, tmp_path: Path) -> None:
    make: Callable[[Path], Any]
    make, says = PICKLES[name]
    marker = tmp_path / "executed"
    path = archive(tmp_path / "model_1.pt", make(marker), MEMORY)
    with little_memory(), pytest.raises(FileError) as error:
        load_weights(path)
    assert says in error.value.message
    assert "\n" not in error.value.message
    assert not marker.exists()


def test_code_would_have_run_the_usual_way(tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    path = archive(tmp_path / "model_1.pt", Runs(marker))
    torch.load(path, weights_only=False)
    assert marker.is_dir()


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    (tmp_path / "zero.pt").symlink_to("/dev/zero")
    (tmp_path / "folder.pt").mkdir()
    for name, says in (("pipe", "plain"), ("zero", "plain"), ("folder", "plain"), ("absent", "missing")):
        with pytest.raises(FileError, match=says):
            load(tmp_path / f"{name}.pt")


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "there.pt").write_bytes(saved())
    (tmp_path / "here.pt").symlink_to("there.pt")
    assert same(load(tmp_path / "here.pt"), GOOD)


def with_attribute() -> torch.nn.Parameter:
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.tensor_model_parallel = True  # type: ignore[attr-defined]
    return parameter


KINDS: dict[str, Any] = {
    "plain values": [None, True, 3, 2.5, "x", b"y", 10**30, complex(1, 2), (1, (2,)), {1, 2}],
    "torch's values": [torch.float32, torch.uint16, torch.device("cpu"), torch.Size([1])],
    "dicts": [OrderedDict(a=1), Counter("aab"), {1: {"x": []}}],
    "dense": [torch.zeros(2, dtype=kind) for kind in (torch.float64, torch.bool, torch.uint16)],
    "views": [torch.arange(12.0).reshape(3, 4).t(), torch.zeros(0, 3), torch.tensor(1.0)],
    "float8": torch.ones(3).to(torch.float8_e4m3fn),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "parameter with an attribute": with_attribute(),
    "sparse": torch.eye(3).to_sparse(),
    "not a number": torch.tensor([float("nan"), -0.0, float("inf")]),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_what_a_state_may_hold_comes_back(name: str, tmp_path: Path) -> None:
    torch.save(KINDS[name], tmp_path / "x.pt")
    assert same(load(tmp_path / "x.pt"), KINDS[name])


def test_tensors_that_share_memory_still_do(tmp_path: Path) -> None:
    weight = torch.zeros(3)
    torch.save({"a": weight, "b": weight[1:]}, tmp_path / "x.pt")
    state = load(tmp_path / "x.pt")
    state["a"][1] = 5.0
    assert float(state["b"][0]) == 5.0


def test_nothing_that_a_file_attached_to_an_object_survives(tmp_path: Path) -> None:
    parameter = Call(torch._utils._rebuild_parameter, tensor(Stored(), (4,), (1,)), True, OrderedDict())
    value = Call(OrderedDict, [["a", parameter]], state={"items": "shadowed", "_metadata": {}})
    state = load(archive(tmp_path / "x.pt", value))
    assert type(state) is dict
    assert type(state["a"]) is torch.Tensor
    assert not state["a"].requires_grad


@pytest.mark.parametrize(
    ("size", "attributes", "says"),
    [
        (
            (1 << 40,),
            {"numel": complex, "untyped_storage": bytearray, "detach": Counter},
            "than what is stored",
        ),
        ((4,), {"__class__": torch.Size}, "__class__"),
    ],
)
def test_attributes_of_a_parameter_take_the_place_of_nothing(
    size: tuple[int, ...], attributes: dict[str, Any], says: str, tmp_path: Path
) -> None:
    stored = tensor(Stored(), size, (0,) if size[0] > 4 else (1,))
    rebuild = torch._utils._rebuild_parameter_with_state
    path = archive(tmp_path / "x.pt", {"a": Call(rebuild, stored, True, OrderedDict(), attributes)})
    with pytest.raises(FileError, match=says):
        load(path)


@pytest.mark.parametrize("value", [torch.ones(1).expand(3), frozenset({1})])
def test_what_is_plain_in_another_form_is_refused_with_that_form(value: Any, tmp_path: Path) -> None:
    torch.save({"a": value}, tmp_path / "x.pt")
    with pytest.raises(FileError) as error:
        load(tmp_path / "x.pt")
    assert error.value.hint is not None
    assert "tensor.detach().contiguous(), a list for a frozenset" in error.value.hint


@given(st.integers(0, len(saved()) - 1), st.integers(0, 255))
def test_any_changed_byte_is_read_or_refused(place: int, byte: int) -> None:
    data = bytearray(saved())
    data[place] = byte
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            state = load_weights(Path(file.name))
        except FileError:
            return
    assert all(isinstance(part, torch.Tensor) for part in state.values())


def test_weights_are_tensors_by_name_and_extra_state(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    for value in ([1], {1: torch.ones(1)}, {"a": 1}, torch.ones(1), {"a": {"b": torch.ones(1)}}):
        torch.save(value, path)
        with pytest.raises(FileError, match="tensors by name"):
            load_weights(path)
    torch.save({"a": torch.ones(1), "part._extra_state": {"seen": 3}}, path)
    assert load_weights(path)["part._extra_state"] == {"seen": 3}


def test_a_first_checkpoint_that_reads_differently_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, write = RunLayout(tmp_path), checkpoint._save
    facts: Any = {"hparams": {}, "metrics": {}, "step": 1, "time": 0.0, "best": False, "keep": None}

    def write_another(path: Path, value: Any) -> str:
        return write(path, {**value, "bias": torch.tensor([0.0, -0.0])} if "bias" in value else value)

    monkeypatch.setattr(checkpoint, "_save", write_another)
    with pytest.raises(FileError, match="does not read back"):
        checkpoint.save_checkpoint(layout, 1, 0, weights=GOOD, trainer_state={}, **facts)
    assert read_index(layout) == []
    assert list(layout.checkpoints.glob("*.pt")) == []
    monkeypatch.undo()
    for state in ({}, {"x": np.float64(1)}):
        checkpoint.save_checkpoint(layout, 1, 0, weights=GOOD, trainer_state=checkpoint.plain(state), **facts)
    assert [entry["tag"] for entry in read_index(layout)] == ["1"]


def test_an_old_torch_is_refused() -> None:
    for version in ("2.9.1", "2.2.0+cu121", "1.13.1"):
        with pytest.raises(TrainerError, match=version.split("+")[0]) as error:
            require_torch(version)
        assert "torch>=2.10" in error.value.hint
    for version in ("2.10.0", "2.13.0+cpu", "3.0.0a0+git1234"):
        require_torch(version)
