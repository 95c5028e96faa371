"""What went in where something failed, read from the frames of the traceback.

Nothing is collected while training goes well: frames keep their arguments, and after a failure they are there
to be read. A scene refers to tensors, so it must not outlive the sentence that is made of it.
"""

from __future__ import annotations

import linecache
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tui_trainer.engine.describe import describe
from tui_trainer.engine.frames import Step, locals_of, steps

_NAME = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_MOST_VALUES = 5
_MOST_SAMPLES = 3
_MOST_REPR = 60
_DEFAULTS = "tasks/base.py"
"""Our file whose functions do what a user's own would do in their place."""
_TOLD_OF_DEFAULTS = ("outputs", "targets")
_COLLATE = "torch/utils/data/_utils/collate.py"
_BACKWARD = "torch/_tensor.py"


@dataclass
class Scene:
    """What was there when something failed.

    Attributes:
        batch: what the loader yielded; None where it failed outside of a batch.
        samples: what was to be made a batch of; None where it failed elsewhere.
        layer: the innermost torch module that failed, with its name in the model; None outside of any.
        inputs: that module's arguments.
        values: tensors, numbers and the like that the failing line names.
        function: the name of the function that the failing line is in.
        backward: it failed in the backward pass.
        task: the user's.
    """

    batch: Any = None
    samples: Any = None
    layer: Any = None
    layer_name: str = ""
    inputs: tuple[Any, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    function: str = ""
    backward: bool = False
    task: Any = None

    def where(self) -> str:
        """The layer and its name, or the backward pass; empty where neither is known."""
        if self.samples is not None:
            return "collating samples"
        if self.backward:
            return "backward pass"
        if not self.layer_name:
            # The model as a whole, or a loss: the batch and the values tell enough.
            return ""
        shown = repr(self.layer).replace(", bias=True)", ")")
        # A module of many prints as many lines.
        shown = shown if "\n" not in shown and len(shown) <= _MOST_REPR else type(self.layer).__name__
        return f"layer {self.layer_name} {shown}"

    def lines(self) -> list[str]:
        """What went in, a line for each kind."""
        told = []
        if self.batch is not None:
            told.append(f"batch: {describe(self.batch)}")
        if self.samples is not None:
            told.append(f"samples of the batch: {_unlike(self.samples)}")
        known: list[Any] = [self.batch]
        if self.layer_name and self.inputs:
            told.append(f"layer got: {', '.join(map(describe, self.inputs))}")
            known += self.inputs
        shown = [
            f"{name} {describe(value)}"
            for name, value in self.values.items()
            if not any(value is other for other in known)
        ]
        if shown:
            told.append(f"in {self.function}: {', '.join(shown[:_MOST_VALUES])}")
        return told


def look(error: BaseException) -> Scene:
    """Read an error's frames."""
    scene = Scene()
    torch = sys.modules.get("torch")
    module_type = torch.nn.Module if torch is not None else ()
    model: Any = None
    told_of: Step | None = None
    for step in steps(error):
        values, filename = locals_of(step.frame), step.summary.filename
        owner = values.get("self")
        if step.ours:
            scene.task = getattr(owner, "_task", values.get("task", scene.task))
            here = values.get("model", getattr(owner, "_model", None))
            if isinstance(here, module_type):
                # Of a loader's frame "batch" would be the one before.
                model, scene.batch = here, values.get("batch", scene.batch)
        if step.users or filename.endswith(_DEFAULTS):
            told_of = step
        elif filename.endswith(_COLLATE) and scene.samples is None:
            scene.samples = values.get("batch")
        elif step.summary.name == "_call_impl" and isinstance(owner, module_type):
            scene.layer, scene.inputs = owner, (*values["args"], *values["kwargs"].values())
        elif step.summary.name == "backward" and filename.endswith(_BACKWARD):
            scene.backward = True
    if model is not None and scene.layer is not None:
        scene.layer_name = next((name for name, part in model.named_modules() if part is scene.layer), "")
    if told_of is not None:
        scene.function = told_of.summary.name
        scene.values = _named_values(told_of)
    return scene


def _named_values(step: Step) -> dict[str, Any]:
    """The values that the failing line names, as far as they can be told in a word."""
    summary, there = step.summary, locals_of(step.frame)
    if not step.users:
        # The batch tells what came before the model.
        known = all(name in there for name in _TOLD_OF_DEFAULTS)
        return {name: there[name] for name in _TOLD_OF_DEFAULTS} if known else {}
    first = summary.lineno or 1
    last = getattr(summary, "end_lineno", None) or first
    text = " ".join(linecache.getline(summary.filename, number) for number in range(first, last + 1))
    names = [name for name in dict.fromkeys(_NAME.findall(text)) if name in there]
    return {name: there[name] for name in names if _tells(there[name])}


def _tells(value: Any) -> bool:
    """Whether to show a value: data, and nothing that does something."""
    if isinstance(value, (str, bytes, bool, int, float, tuple, list, dict, type(None))):
        return True
    return hasattr(value, "dtype") and hasattr(value, "shape")


def _unlike(samples: Any) -> str:
    """Samples that are of different kinds, by their position; the first one where all are alike."""
    try:
        told = [describe(sample) for sample in samples]
    except TypeError:
        return describe(samples)
    first = {text: position for position, text in reversed([*enumerate(told)])}
    shown = [f"{position} is {text}" for text, position in first.items()]
    shown.sort(key=lambda text: int(text.split()[0]))
    more = f", … ({len(shown)} kinds)" if len(shown) > _MOST_SAMPLES else ""
    return ", ".join(shown[:_MOST_SAMPLES]) + more
