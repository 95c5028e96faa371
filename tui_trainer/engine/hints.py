"""What to do about the usual errors in a task's code: a table from the words of an error to a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tui_trainer.engine.frames import steps
from tui_trainer.engine.scene import Scene
from tui_trainer.engine.suggestions import attribute, missing_file, missing_module

Sentence = str | Callable[[Scene, "re.Match[str]"], str]
"""A hint, or what makes one of the scene and the words of the error."""

SAME_SHAPE = "make the two alike: outputs.squeeze(1) for a column, or targets.unsqueeze(1) for a row"
_LIKE_WEIGHTS = (
    "data and weights differ in dtype. NumPy's default is float64, a model's float32: return "
    "float32 from the data set, with .astype('float32') or .float()"
)
_CIRCULAR = (
    "two files import each other, or one has the name of a module that it imports: move what both need to a "
    "third file, or rename it"
)
_NO_SAMPLE = "__getitem__ returned None for a sample: does each way through it end with `return`?"
_UNPICKLABLE = (
    "what goes to a loader process that is spawned must be importable: define functions and classes at the "
    "top of the file instead of a lambda or a local one, and open files in __getitem__"
)


def _loss_arguments(scene: Scene) -> tuple[Any, Any]:
    """Outputs and targets of a loss that failed, as far as they can be found."""
    if scene.layer is not None and not scene.layer_name and len(scene.inputs) == 2:
        return scene.inputs[0], scene.inputs[1]
    tensors = [value for value in scene.values.values() if hasattr(value, "dtype")]
    return (tensors[0], tensors[1]) if len(tensors) >= 2 else (None, None)


def _class_out_of_range(scene: Scene, found: re.Match[str]) -> str:
    outputs, targets = _loss_arguments(scene)
    if outputs is None or getattr(outputs, "ndim", 0) < 1 or not getattr(targets, "numel", int)():
        return "a class must be smaller than the number of the model's outputs, and at least 0"
    classes = int(outputs.shape[1 if outputs.ndim > 1 else 0])
    low, high = int(targets.min()), int(targets.max())
    told = f"targets of this batch go from {low} to {high}, and the model has {classes} outputs, for 0 to "
    told += f"{classes - 1}: "
    if low < 0:
        return f"{told}-100 is the only negative that is left out by default (ignore_index)"
    if low >= 1 and high == classes:
        return f"{told}classes count from 0, so subtract 1 from the targets"
    return f"{told}it needs {high + 1} outputs at least"


def _index_out_of_range(scene: Scene, found: re.Match[str]) -> str:
    rows = getattr(scene.layer, "num_embeddings", None)
    indices: Any = scene.inputs[0] if scene.inputs else None
    if rows is None or not hasattr(indices, "max"):
        return "an index lies outside of the table that it is looked up in"
    low, high = int(indices.min()), int(indices.max())
    told = (
        f"indices of this batch go from {low} to {high}, and the table has {rows} rows, for 0 to {rows - 1}"
    )
    return f"{told}: num_embeddings must be {high + 1} at least"


def _wrong_width(scene: Scene, found: re.Match[str]) -> str:
    wanted = getattr(scene.layer, "in_features", None)
    got: Any = scene.inputs[0] if scene.inputs else None
    if wanted is None or not hasattr(got, "shape"):
        return "the last size of the first must be the first size of the second: compare them with the data"
    if len(got.shape) > 2 and got[0].numel() == wanted:
        return "nn.Flatten() before this layer makes one row of each sample"
    told = f"the layer takes {wanted} features and got {got.shape[-1]}: "
    return told + f"in_features={got.shape[-1]}, or another output of what comes before it"


def _wrong_channels(scene: Scene, found: re.Match[str]) -> str:
    weight: Any = getattr(scene.layer, "weight", None)
    got: Any = scene.inputs[0] if scene.inputs else None
    if hasattr(weight, "shape") and hasattr(got, "shape") and len(got.shape) == len(weight.shape) - 1:
        shape = "[" + ", ".join(map(str, got.shape)) + "]"
        return (
            f"the layer got {shape}, which it takes for one sample without a batch: an axis is missing, "
            "[batch, channels, …] is expected; unsqueeze(1) adds the channel of grey images"
        )
    return (
        f"the layer takes {found[1]} channels and got {found[2]}: in_channels={found[2]}; images are "
        "[batch, channels, height, width], so permute(0, 3, 1, 2) if channels come last"
    )


def of_outputs(outputs: Any) -> str:
    """What to do about outputs that are no tensor."""
    return _of_outputs(type(outputs).__name__)


def _of_outputs(kind: str) -> str:
    if kind == "NoneType":
        return "forward() must give back what it computed: does it end with `return`?"
    return (
        f"forward() returns a {kind}: return the tensor that the loss takes, or choose it in a compute_loss "
        "of your own"
    )


def _not_a_tensor(scene: Scene, found: re.Match[str]) -> str:
    return _of_outputs(found[1])


def _wrong_arguments(scene: Scene, found: re.Match[str]) -> str:
    parts = len(scene.batch) if isinstance(scene.batch, (tuple, list)) else 0
    if scene.task is not None and scene.task.overrides("compute_loss"):
        return "call the model with the arguments that its forward() takes"
    return (
        f"the model is called with all parts of the batch but the last, which are {max(1, parts - 1)}: let "
        "forward() take as many, or write a compute_loss of your own"
    )


def _not_collated(scene: Scene, found: re.Match[str]) -> str:
    name = found[1].rpartition(".")[2]
    if name == "NoneType":
        return _NO_SAMPLE
    if name == "Image":
        return "make a tensor of the image in __getitem__: torch.from_numpy(np.array(image)), or ToTensor()"
    return f"return tensors, arrays or numbers from __getitem__, or give the data set a collate_fn for {name}"


def _targets_are_columns(scene: Scene, found: re.Match[str]) -> str:
    _, targets = _loss_arguments(scene)
    if targets is not None and targets.ndim == 2 and targets.shape[1] > 1:
        return "rows of 0 and 1 go in as float (targets.float()), or as classes: targets.argmax(1)"
    return "classes have shape [batch], without a dimension of their own: targets.squeeze(1)"


def _item_out_of_range(scene: Scene, found: re.Match[str]) -> str:
    if scene.function not in ("__getitem__", "__getitems__"):
        return ""
    return "the data set's __len__ may say more than there is"


def _backward_again(scene: Scene, found: re.Match[str]) -> str:
    if scene.task is not None and scene.task.overrides("train_step"):
        return "two losses share a graph: .detach() what the other network made"
    return (
        "the trainer calls backward() itself, so compute_loss must not; a state kept from the batch before "
        "needs .detach()"
    )


def _no_count(scene: Scene, found: re.Match[str]) -> str:
    # A sum in the user's own code is none of counts.
    return "" if scene.function else "count(batch) must return a number: does it end with `return`?"


_RAISES = re.compile(r"raise [\w.]+\(")

Row = tuple[str, Sentence]

_TABLE: list[Row] = [
    # Loss and targets.
    (r"Target -?\d+ is out of bounds|target.* out of (range|bounds)", _class_out_of_range),
    (r"multi-target not supported|target with class probabilities", _targets_are_columns),
    (r"Target size .* must be the same as input size|Using a target size", SAME_SHAPE),
    (
        r"Expected input batch_size \((\d+)\) to match target batch_size \((\d+)\)",
        "outputs and targets must have one row for each sample: is a dimension lost in a reshape?",
    ),
    (
        r"expected scalar type Long but found|\"nll_loss.*\" not implemented|target dtype to be Long",
        "classes must be whole numbers: targets.long(); targets that are quantities want MSELoss",
    ),
    (
        r"result type Float can't be cast to the desired output type|Found dtype Long but expected Float",
        "this loss takes targets as numbers with a fraction: targets.float()",
    ),
    (
        r"Boolean value of Tensor with more than one value",
        "a class was called where its object is meant: "
        "nn.CrossEntropyLoss()(outputs, targets); or `if` got a tensor of several values",
    ),
    (r"argument '(?:input|self|target)' .*must be Tensor, not (\w+)", _not_a_tensor),
    (
        r"'(tuple|dict|list|NoneType)' object has no attribute '(?:size|shape|dim|log_softmax|argmax)'",
        _not_a_tensor,
    ),
    (
        r"grad can be implicitly created only for scalar",
        "the loss must be one number: .mean(), or reduction='mean'",
    ),
    # Shapes inside of the model.
    (r"mat1 and mat2 shapes cannot be multiplied|size mismatch", _wrong_width),
    (r"to have (\d+) channels, but got (\d+) channels", _wrong_channels),
    (
        r"Expected \d?D? ?.*input to conv(\d)d, but got input of size",
        "a convolution takes [batch, channels, height, width]: x.unsqueeze(1) adds the channel of grey "
        "images, x.view(len(x), 1, height, width) makes images of rows",
    ),
    (
        r"Kernel size can't be greater than actual input|Calculated padded input|Output size is too small",
        "the images have become too small here: fewer layers that halve them, or larger images",
    ),
    (
        r"must match the (?:existing )?size|Sizes of tensors must match|must match except in dimension",
        "the two differ in a dimension in which neither has size 1: compare their shapes above",
    ),
    (
        r"shape '.*' is invalid for input of size|is invalid for input of size",
        "the sizes must multiply to those of the tensor; a fixed batch size does not fit each batch: "
        "x.view(len(x), -1)",
    ),
    (
        r"doesn't match hidden\d? batch size|Expected hidden.* size",
        "a state kept from the batch before does not fit a batch of another size: begin each with a new one",
    ),
    (r"index out of range in self", _index_out_of_range),
    (r"forward\(\) (?:takes|missing|got an unexpected)", _wrong_arguments),
    (
        r"is missing the required \"forward\" function",
        "define forward(self, inputs) in that class; is its name misspelt?",
    ),
    (
        r"cannot assign (?:module|parameters?|buffer).* before Module.__init__",
        "call super().__init__() first in its __init__",
    ),
    (
        r"Expected more than 1 value per channel",
        "BatchNorm needs two samples at least in a training batch: a larger batch_size, or drop_last=True in "
        "a loader of your own",
    ),
    # Types and places.
    (
        r"arguments? #1 'indices' to have one of the following scalar types",
        "an embedding looks up whole numbers: inputs.long()",
    ),
    (
        r"same dtype|should be the same|expected scalar type|but got: double|same type",
        _LIKE_WEIGHTS,
    ),
    (
        r"on the same device|not on the expected device|should be on the same",
        "a tensor was made on another device: device=inputs.device where it is made, or self.register_buffer "
        "for what belongs to the model",
    ),
    (
        r"Cannot re-initialize CUDA in forked",
        "a data set must not touch the GPU: return CPU tensors, or --num-workers 0",
    ),
    # Gradients.
    (
        r"does not require grad and does not have a grad_fn",
        "nothing that is trained leads to the loss: is all of the model frozen, or cut off by no_grad(), "
        ".detach() or .item()?",
    ),
    (
        r"backward through the graph a second time",
        _backward_again,
    ),
    (
        r"Can't call numpy\(\) on Tensor that requires grad",
        "outputs.detach().cpu().numpy(); what metrics() gets is detached",
    ),
    (
        r"modified by an inplace operation",
        "something that the gradient needs was overwritten: y = y + 1 instead of y += 1, no inplace=True",
    ),
    (
        r"empty parameter list",
        "the optimizer got no parameters: layers in a list belong into nn.ModuleList",
    ),
    # Data.
    (r"must contain tensors, numpy arrays, numbers, dicts or lists; found <class '([\w.]+)'>", _not_collated),
    (
        r"stack expects each tensor to be equal size|should be of equal size|storage that is not resizable",
        "samples must have one shape to be a batch: crop or pad them in __getitem__, or give the data set a "
        "collate_fn(samples) that pads them",
    ),
    (r"\w+ index out of range|out of bounds for (?:axis|dimension)", _item_out_of_range),
    (r"[Cc]an't (?:pickle|get) local|[Cc]annot pickle|Can't pickle", _UNPICKLABLE),
    (r"Too many open files", "ulimit -n raises the limit; fewer num_workers need fewer files"),
    (
        r"not enough values to unpack|too many values to unpack",
        "as many names must stand on the left as there are parts on the right",
    ),
    # What methods of a task return.
    (r"unsupported operand type\(s\) for \+: 'int' and", _no_count),
    (r"object is not a mapping", "metrics() must return a dict: {name: value}"),
    # Imports and files.
    (r"partially initialized module|most likely due to a circular import", _CIRCULAR),
    (r"Field '(\w+)' requires a type annotation", "write its type: {0}: int = Field(…)"),
]


def _in_users_words(error: BaseException) -> bool:
    """Whether the user's own code made this error and its text, which then says all that is to be said."""
    *_, last = [None, *steps(error)]
    return last is not None and last.users and _RAISES.match(last.summary.line or "") is not None


def _importing_itself(error: ImportError) -> bool:
    """Whether what it was to be imported from was just being imported."""
    return error.path is not None and any(step.summary.filename == error.path for step in steps(error))


def _endless(error: RecursionError) -> str:
    names = [step.summary.name for step in steps(error) if step.users][-8:]
    cycle = sorted(set(names))
    if len(cycle) == 1:
        return f"{cycle[0]} calls itself without an end"
    return f"{' and '.join(cycle)} call each other without an end" if cycle else ""


def _samples_of_nothing(scene: Scene) -> str:
    nothing = [number for number, sample in enumerate(scene.samples or ()) if sample is None]
    return _NO_SAMPLE if nothing else ""


def hint(error: BaseException, scene: Scene | None = None) -> str:
    """What to do about an error; empty where nothing is known.

    Args:
        error: of the user's code.
        scene: what went in.
    """
    if _in_users_words(error):
        return ""
    if isinstance(error, ModuleNotFoundError):
        return missing_module(error)
    if isinstance(error, AttributeError) and (told := attribute(error)):
        return told
    if isinstance(error, FileNotFoundError):
        return missing_file(error)
    if isinstance(error, RecursionError):
        return _endless(error)
    if isinstance(error, ImportError) and _importing_itself(error):
        return _CIRCULAR
    return hint_for(str(error), scene) or (_samples_of_nothing(scene) if scene is not None else "")


def hint_for(text: str, scene: Scene | None = None) -> str:
    """What to do about an error that is known by its words alone."""
    for pattern, sentence in _TABLE:
        found = re.search(pattern, text)
        if found is None:
            continue
        if isinstance(sentence, str):
            return sentence.format(*found.groups()) if "{0}" in sentence else sentence
        return sentence(scene or Scene(), found)
    return ""
