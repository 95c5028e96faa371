"""A checkpoint for other tools: safetensors, torch.export, ONNX, or its plain state_dict.

What was exported is read again and held against the model before the file appears.
"""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from tui_trainer.config.hparams import Hparams
from tui_trainer.engine.checkpoint import same
from tui_trainer.engine.example import Call, examples
from tui_trainer.engine.facts import kept_facts
from tui_trainer.engine.trained import Trained, good_weights, load_trained
from tui_trainer.errors import FileError, TrainerError, UsageError
from tui_trainer.files import open_plain, os_failure, replacing, write_bytes
from tui_trainer.runs.checkpoints import entry_of
from tui_trainer.runs.json_values import plain
from tui_trainer.runs.layout import RunLayout, run_id
from tui_trainer.runs.reader import RunReader

Target = Literal["safetensors", "torch-export", "onnx", "state-dict"]

LARGEST_ONNX = 1_900_000_000
"""A protobuf message, which an ONNX file is, holds two gigabytes at most."""
TOLERANCE = 1e-3
"""Largest difference to the model, as a part of the largest output."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        checked: what it was compared with, and what came out.
        notices: what somebody who uses it should know, a sentence each.
    """

    path: Path
    checked: str
    notices: tuple[str, ...] = ()


def export(
    root: Path,
    tag: str,
    to: Target,
    path: Path,
    hparams: Hparams | None = None,
    *,
    example: Path | None = None,
    force: bool = False,
) -> Exported:
    """Write a checkpoint for other tools.

    Args:
        root: the run directory.
        tag: of the checkpoint.
        to: the format.
        path: the file.
        hparams: to use instead of the checkpoint's.
        example: inputs as `predict` takes them, to export with; None: a batch of the run's data.
        force: replace the file if there is one.

    Raises:
        UsageError: the file exists, is to lie among the run's own, or a package is missing.
        TrainerError: the model can't be exported, or the export gives something else.
    """
    if not force and os.path.lexists(path):
        raise UsageError("file exists", str(path), "--force replaces it")
    layout = RunLayout(root)
    if path.parent.resolve() == layout.checkpoints.resolve():
        raise UsageError(
            "not into the run", f"{path.parent} holds the run's checkpoints", "name another folder"
        )
    if to == "state-dict":
        return _copy(layout, tag, path)
    if to == "safetensors":
        return _safetensors(layout, tag, path)
    _require("onnx", "onnx", "onnxscript", "onnxruntime") if to == "onnx" else None
    trained = load_trained(root, tag, "cpu", hparams, with_data=example is None)
    calls = examples(trained, example)
    write = _onnx if to == "onnx" else _torch_export
    with _quiet():
        data, checked, notices = write(trained, calls)
    _write(path, data)
    return Exported(path, checked, (*trained.notices, *notices))


def about(layout: RunLayout, tag: str) -> dict[str, str]:
    """What an export says of where it is from, as texts: run, epoch, step, task, facts of the data."""
    entry, reader = entry_of(layout, tag), RunReader(layout.root)
    task = reader.hparams().get("task")
    told = {
        "run_id": str(reader.run().get("run_id") or run_id(layout)),
        "checkpoint": tag,
        "epoch": str(entry["epoch"]),
        "step": str(entry["step"]),
        "task": str(task),
    }
    facts = kept_facts(layout)
    return {**told, **({"data_facts": json.dumps(plain(facts))} if facts is not None else {})}


def _require(extra: str, *packages: str) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        message = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed"
        raise UsageError("package missing", message, f"pip install 'tui-trainer[{extra}]'")


def _write(path: Path, data: bytes) -> None:
    try:
        write_bytes(path, data)
    except OSError as error:
        raise FileError("export can't be written", os_failure(error, path)) from error


def _copy(layout: RunLayout, tag: str, path: Path) -> Exported:
    good_weights(layout, tag)
    try:
        with open_plain(layout.model_file(tag)) as source, replacing(path) as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        raise FileError("export can't be written", os_failure(error, path)) from error
    return Exported(path, "its SHA-256 is that of the checkpoint")


def _safetensors(layout: RunLayout, tag: str, path: Path) -> Exported:
    _require("export", "safetensors")
    from safetensors.torch import load, save

    weights = good_weights(layout, tag)
    tensors = {name: value for name, value in weights.items() if isinstance(value, Tensor)}
    others = [name for name in weights if name not in tensors]
    kept, shared = _unshared(tensors)
    # As `safetensors.torch.save_model` tells of shared tensors, so that its `load_model` reads them.
    data = save(kept, {**about(layout, tag), "format": "pt", **shared})
    if not same(load(data), kept):
        raise TrainerError("export differs from the model", f"{path} does not read back as it was written")
    _write(path, data)
    notices = [f"left out, since it is no tensor: {', '.join(others)}"] if others else []
    notices += [f"{name} is {other}, and is stored once" for name, other in shared.items()]
    return Exported(path, f"all {len(kept):,} tensors read back bit for bit", tuple(notices))


def _unshared(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Each tensor once, with memory of its own; and which names mean one that is there already."""
    kept: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    seen: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        key = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if tensor.numel() and key in seen:
            shared[name] = seen[key]
            continue
        seen[key] = name
        # A view of a larger tensor, or of a part of another one, gets memory of its own.
        kept[name] = tensor.to_dense().contiguous().clone()
    return kept, shared


# ---------------------------------------------------------------------- what can run by itself


def _torch_export(trained: Trained, calls: Sequence[Call]) -> tuple[bytes, str, list[str]]:
    program, notices = _program(trained.model, calls)
    buffer = io.BytesIO()
    extra = {"about.json": json.dumps(about(trained.layout, trained.entry["tag"]))}
    torch.export.save(program, buffer, extra_files=extra)
    module = torch.export.load(io.BytesIO(buffer.getvalue())).module()

    def run(call: Call) -> Any:
        args, kwargs = call.of(trained.model)
        return module(*args, **kwargs)

    return buffer.getvalue(), _check(trained.model, calls, run, bool(notices)), notices


def _onnx(trained: Trained, calls: Sequence[Call]) -> tuple[bytes, str, list[str]]:
    import onnxruntime

    size = sum(t.numel() * t.element_size() for t in trained.model.state_dict().values())
    if size > LARGEST_ONNX:
        raise UsageError(
            "model too large for ONNX",
            f"its weights take {size / 1e9:.1f} GB, an ONNX file holds 2 GB",
            "--to torch-export or safetensors",
        )
    # Its recurrent layers are one operation that only torch knows.
    with torch.backends.mkldnn.flags(enabled=False):
        program, notices = _program(trained.model, calls)
    try:
        made = torch.onnx.export(program, dynamo=True, verbose=False)
        assert made is not None
        _name_plainly(made.model.graph)
    except Exception as error:
        reason = _first_line(error.__cause__ or error)
        raise TrainerError("ONNX can't express this model", reason, "--to torch-export may do") from error
    proto = made.model_proto
    for name, text in about(trained.layout, trained.entry["tag"]).items():
        proto.metadata_props.add(key=name, value=text)
    data: bytes = proto.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def run(call: Call) -> Any:
        tensors = [leaf for leaf in pytree.tree_leaves(call.of(trained.model)) if isinstance(leaf, Tensor)]
        named = zip(session.get_inputs(), tensors, strict=True)
        found = session.run(None, {node.name: tensor.numpy() for node, tensor in named})
        return [torch.from_numpy(value) for value in found]

    checked = _check(trained.model, calls, run, bool(notices))
    return data, f"in onnxruntime, {checked}", notices


def _name_plainly(graph: Any) -> None:
    """Inputs and outputs, of several by number, and the dimension of the samples get names to rely on."""
    for word, values in (("input", graph.inputs), ("output", graph.outputs)):
        for k, value in enumerate(values):
            value.name = word if len(values) == 1 else f"{word}_{k}"
    shapes = [value.shape for value in (*graph.inputs, *graph.outputs) if value.shape is not None]
    free = {str(shape[0]) for shape in shapes if len(shape) and not isinstance(shape[0], int)}
    if len(free) == 1:
        for value in (*graph.inputs, *graph.outputs, *(out for node in graph for out in node.outputs)):
            for axis, size in enumerate(value.shape or ()):
                if not isinstance(size, int) and str(size) in free:
                    value.shape[axis] = "batch"


def _program(model: nn.Module, calls: Sequence[Call]) -> tuple[torch.export.ExportedProgram, list[str]]:
    """The model as a graph, for any number of samples; where it does not allow that, for a fixed one.

    Raises:
        TrainerError: it can't be written as a graph at all.
    """
    call = calls[0]

    def free(value: Any) -> Any:
        batched = isinstance(value, Tensor) and value.dim() > 0 and len(value) == call.samples
        return {0: torch.export.Dim.DYNAMIC} if batched else None

    shapes = {name: pytree.tree_map(free, value) for name, value in call.arguments.items()}
    if call.samples > 1:
        with suppress(Exception):
            return torch.export.export(model, *_copied(call, model), dynamic_shapes=shapes), []
    try:
        program = torch.export.export(model, *_copied(call, model))
    except Exception as error:
        raise TrainerError(
            "model can't be exported",
            f"torch.export: {_first_line(error)}",
            "control flow that depends on values can't be a graph; --to safetensors keeps the weights",
        ) from error
    why = (
        "the data give no more" if call.samples == 1 else "something in the model fixes it, as GRU layers do"
    )
    return program, [f"the export takes batches of just {call.samples}: {why}"]


def _copied(call: Call, model: nn.Module) -> Any:
    """Arguments of one's own: torch marks tensors, also where it fails."""
    return pytree.tree_map_only(Tensor, torch.clone, call.of(model))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"


def _check(model: nn.Module, calls: Sequence[Call], run: Callable[[Call], Any], fixed: bool) -> str:
    """Hold an export against the model.

    Raises:
        TrainerError: it gives something else.
    """
    worst, sizes = 0.0, []
    for call in calls[:1] if fixed else calls:
        args, kwargs = call.of(model)
        with torch.no_grad():
            expected, found = pytree.tree_leaves(model(*args, **kwargs)), pytree.tree_leaves(run(call))
        pairs = [(a, b) for a, b in zip(expected, found, strict=True) if isinstance(a, Tensor)]
        worst = max([worst, *(_difference(a, b) for a, b in pairs)])
        sizes.append(call.samples)
        for a, b in pairs:
            largest = float(a.double().nan_to_num().abs().max()) if a.numel() else 0.0
            if not _difference(a, b) <= TOLERANCE * max(1.0, largest):
                message = f"outputs differ by up to {_difference(a, b):.2e} on {call.samples} samples"
                raise TrainerError("export differs from the model", message, "nothing was written")
    return f"on batches of {' and '.join(map(str, dict.fromkeys(sizes)))}: largest difference {worst:.2e}"


def _difference(one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        return float("inf")
    if not one.numel():
        return 0.0
    a, b = one.detach().double(), other.detach().double()
    both = a.isnan() & b.isnan()
    return float((a - b).masked_fill(both | (a == b), 0.0).abs().nan_to_num(nan=float("inf")).max())


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporters' own talk says nothing about the user's model."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
