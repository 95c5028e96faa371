"""The built-in task `tabular`: predict one column of a table from the others."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import field_validator

from tui_trainer.config.hparams import Field, Hparams
from tui_trainer.errors import UsageError
from tui_trainer.tasks.base import Task

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tui_trainer.datasets.encoding import TableEncoder, Target
    from tui_trainer.datasets.tables import Table

_UNSEEN = "have a value never seen in training"
_COLUMNS = "column names with commas between them"
_LOSSES = {
    "classification": ("auto", "CrossEntropyLoss", "MultiMarginLoss"),
    "regression": ("auto", "MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss"),
}


class TabularHparams(Hparams):
    """Hyper-parameters of `Tabular`."""

    table: Literal["breast_cancer", "diabetes", "iris", "wine"] = Field(
        "breast_cancer",
        group="Data",
        on_resume="refused",
        description="A table that comes with scikit-learn; used when there is no dataset_path.",
    )
    target: str | None = Field(
        None,
        group="Data",
        max_length=1000,
        on_resume="refused",
        description="Column to predict; none: what the data call the target.",
    )
    kind: Literal["auto", "classification", "regression"] = Field(
        "auto",
        group="Data",
        on_resume="refused",
        description="What the target is; auto: classes for texts and for whole numbers of at most 20 values.",
    )
    # `str` comes first, so that a flag's text stays whole: names of columns may hold spaces.
    ignore: str | tuple[str, ...] = Field(
        (),
        group="Data",
        expected=_COLUMNS,
        on_resume="refused",
        description="Columns to leave out, such as identifiers.",
    )
    numeric: str | tuple[str, ...] = Field(
        (),
        group="Data",
        expected=_COLUMNS,
        on_resume="refused",
        description="Columns that must be numbers; a text in them is an error.",
    )
    categorical: str | tuple[str, ...] = Field(
        (),
        group="Data",
        expected=_COLUMNS,
        on_resume="refused",
        description="Columns to take as categories even if they look like numbers.",
    )
    latent_dim: int = Field(
        128,
        ge=1,
        le=65_536,
        unit="units",
        log=True,
        on_resume="refused",
        description="Width of each hidden layer.",
    )
    n_layers: int = Field(
        3, ge=0, le=256, unit="layers", on_resume="refused", description="Hidden layers; 0: a linear model."
    )
    dropout: float = Field(
        0.1,
        ge=0,
        lt=1,
        unit="fraction",
        on_resume="warned",
        description="Part of each hidden layer's units set to 0 in training.",
    )
    embedding_dim: int = Field(
        8,
        ge=1,
        le=4096,
        unit="numbers",
        log=True,
        on_resume="refused",
        description="Numbers that stand for one category of a column.",
    )

    @field_validator("ignore", "numeric", "categorical", mode="before")
    @classmethod
    def _column_names(cls, value: Any) -> Any:
        """`"a, b c"` -> ("a", "b c"); a name that holds a comma needs a list, in a preset."""
        return (
            tuple(name.strip() for name in value.split(",") if name.strip())
            if isinstance(value, str)
            else value
        )

    def cross_checks(self) -> Iterator[tuple[str, str]]:
        """A column has one type; a known kind rules out losses of the other."""
        yield from super().cross_checks()
        options = {"ignore": self.ignore, "numeric": self.numeric, "categorical": self.categorical}
        for first, second in (("ignore", "numeric"), ("ignore", "categorical"), ("numeric", "categorical")):
            both = sorted(set(options[first]) & set(options[second]))
            if both:
                yield second, f"{', '.join(both)} is in {first} too"
        if self.kind != "auto" and self.loss not in _LOSSES[self.kind]:
            yield (
                "loss",
                f"{self.loss} does not suit a {self.kind}; expected one of {', '.join(_LOSSES[self.kind])}",
            )


class Tabular(Task):
    """Predict a column of a table (CSV, JSON, Parquet, NumPy): classes or numbers, with gaps and categories.

    Classification reports accuracy; regression mae and r2 in the target's own unit. A regression is trained
    on the standardised target, so its loss is in standard deviations of the training target: `test/loss` of
    MSELoss is the part of the variance that is left, about 1 − r2, whatever the unit.

    Numbers travel as float32 counted from the training mean, so that those which are large and close together
    (times, identifiers) keep their digits. The means are in the network's `schema`; `TabularNet.predict` and
    `predict` here add the target's again.
    """

    hparams_class = TabularHparams
    directions: ClassVar = {"r2": "max", "mae": "min", "accuracy": "max"}
    normalizes: ClassVar = True

    def __init__(self) -> None:
        self._encoder: TableEncoder | None = None
        self._target: Target | None = None
        self._target_name = ""
        self._scale: tuple[float, float] | None = None
        self._fitted = False

    @property
    def classes(self) -> list[str] | None:
        """Names of the target's classes; None for a regression."""
        return list(self._target.classes) or None if self._target is not None else None

    def datasets(self, hparams: TabularHparams) -> tuple[Any, ...]:
        """Rows as `TableEncoder` encodes them, with class indices (int64) or numbers (float32).

        Target numbers are counted from the training mean too.

        Raises:
            UsageError: hparams that don't suit the table.
            FileError: a table that can't be used; the message names file, line or column.
        """
        import torch

        from tui_trainer.datasets.encoding import TableEncoder, choose_features, mean_and_std
        from tui_trainer.datasets.splits import divide

        table, name = self._table(hparams)
        target = self._read_target(table, name, hparams)
        self._check_loss(hparams, bool(target.classes))
        labels = target.values if target.classes else None
        parts = table.parts or (table.rows, 0, 0)
        splits = divide(parts, hparams.test_size, hparams.val_size, hparams.seed, labels)
        encoder = self._encoder if self._fitted else None
        if encoder is not None:
            encoder.check(table, {*hparams.ignore, name})
        else:
            features = choose_features(table, name, hparams.ignore, hparams.numeric, hparams.categorical)
            encoder = TableEncoder.fit(table, features, splits.train)
            self._encoder, self._target, self._target_name = encoder, target, name
            self._scale = None if target.classes else mean_and_std(target.values[splits.train])
        encoded = encoder.encode(table, splits.order)
        self._tell_unseen(table, encoder, encoded, splits.order, 0 if self._fitted else len(splits.train))
        inputs = torch.from_numpy(encoded)
        targets = torch.from_numpy(target.values[splits.order])
        if self._scale is not None:
            targets = (targets - self._scale[0]).float()
        return splits.sliced(inputs, targets)

    def _tell_unseen(
        self, table: Table, encoder: TableEncoder, encoded: Any, order: Any, trained_on: int
    ) -> None:
        """Warn of categories that training has not seen, in all rows after those that it learns from."""
        from tui_trainer.datasets.unseen import Unseen

        beyond = " beyond the training split" if trained_on else ""
        unseen = Unseen(f"rows{beyond} {_UNSEEN}")
        encoder.count_unseen(unseen, table, encoded[trained_on:], order[trained_on:])
        unseen.tell()

    def readable(self, sample: Any) -> Any:
        """({column: number, text or None}, {target: number or class}), as the table has them."""
        from tui_trainer.datasets.encoding import near

        assert self._encoder is not None
        assert self._target is not None
        inputs, target = sample
        if self._scale is not None:
            value: Any = near(self._scale[0], float(target))
        else:
            value = self._target.classes[int(target)]
        return self._encoder.decode(inputs.numpy()), {self._target_name: value}

    def _table(self, hparams: TabularHparams) -> tuple[Table, str]:
        from tui_trainer.datasets.tables import built_in_table, read_table

        if hparams.dataset_path is None:
            return built_in_table(hparams.table), hparams.target or "target"
        table = read_table(Path(hparams.dataset_path).expanduser(), texts=self._texts(hparams))
        target = hparams.target or table.target
        if target is None:
            names = ", ".join(list(table.columns)[:50])
            raise UsageError(
                "no target", "name the column to predict with --target", f"columns of {table.source}: {names}"
            )
        return table, target

    def _texts(self, hparams: TabularHparams) -> tuple[str, ...]:
        """Columns to read as texts."""
        if self._fitted and self._encoder is not None:
            return self._encoder.features.categorical
        return tuple(hparams.categorical)

    def _read_target(self, table: Table, name: str, hparams: TabularHparams) -> Target:
        from tui_trainer.datasets.encoding import as_classes, read_target

        if not self._fitted or self._target is None:
            return read_target(table, name, hparams.kind)
        known = self._target.classes
        target = read_target(table, name, "classification" if known else "regression")
        return as_classes(target, known, table.source) if known else target

    def _check_loss(self, hparams: TabularHparams, classes: bool) -> None:
        kind = "classification" if classes else "regression"
        fitting = ", ".join(_LOSSES[kind])
        if hparams.loss not in _LOSSES[kind]:
            raise UsageError(
                "loss does not suit the target", f"{hparams.loss} for a {kind}", f"take one of {fitting}"
            )
        if hparams.label_smoothing and not classes:
            raise UsageError(
                "label_smoothing needs classes", "the target is a number", "set label_smoothing to 0"
            )

    def model(self, hparams: TabularHparams) -> nn.Module:
        """A `TabularNet` that holds what was fitted on the training rows."""
        from tui_trainer.datasets.encoding import FIRST_CATEGORY
        from tui_trainer.models.tabular import TabularNet

        assert self._encoder is not None
        assert self._target is not None
        encoder, classes = self._encoder, self._target.classes
        offset, std = self._scale or (None, None)
        schema = {
            **encoder.schema(),
            "target": self._target_name,
            "target_offset": offset,
            "classes": list(classes),
        }
        return TabularNet(
            # The means are off the numbers before they reach the network.
            mean=[0.0] * len(encoder.mean),
            std=encoder.std,
            gaps=encoder.gaps,
            categories=[len(known) + FIRST_CATEGORY for known in encoder.categories],
            latent_dim=hparams.latent_dim,
            n_layers=hparams.n_layers,
            n_out=len(classes) or 1,
            dropout=hparams.dropout,
            embedding_dim=hparams.embedding_dim,
            target=None if std is None else (0.0, std),
            schema=schema,
        )

    def compute_loss(self, model: nn.Module, batch: Any, criterion: Any) -> tuple[Any, Any, Any]:
        """As in `Task`; the loss of a regression is taken between standardised numbers.

        A regression's outputs and targets are float32 in the target's unit, counted from its training mean.
        """
        inputs, targets = batch
        outputs = model(inputs)
        if self._scale is None:
            return criterion(outputs, targets), outputs, targets
        _, std = self._scale
        return criterion(outputs / std, targets / std), outputs, targets

    def metrics(self, outputs: Any, targets: Any) -> dict[str, Any]:
        """Accuracy, or mae and r2 in the target's unit; neither minds where both are counted from."""
        from tui_trainer.engine.metrics import R2

        found = super().metrics(outputs, targets)
        return {**found, "r2": R2(outputs, targets)} if self._scale is not None else found

    def predict(self, model: nn.Module, inputs: Any) -> Any:
        """Logits, or float64 numbers in the target's own unit on the CPU, of rows that `datasets` encoded."""
        outputs = model(inputs)
        # On the CPU, since not every device has float64.
        return outputs if self._scale is None else outputs.cpu().double() + self._scale[0]

    def data_facts(self) -> dict[str, Any]:
        """Columns with all that was fitted on the training rows, and the target's classes or scale."""
        assert self._encoder is not None
        facts = {"target": self._target_name, "classes": self.classes, "scale": self._scale}
        return {**self._encoder.facts(), **facts}

    def use_data_facts(self, facts: Mapping[str, Any]) -> None:
        """Take all of it; a table that is read later is encoded likewise."""
        import numpy as np

        from tui_trainer.datasets.encoding import TableEncoder, Target

        self._encoder = TableEncoder.from_facts(facts)
        self._target = Target(tuple(facts["classes"] or ()), np.empty(0))
        self._target_name, self._fitted = str(facts["target"]), True
        self._scale = tuple(facts["scale"]) if facts["scale"] is not None else None

    def read_inputs(self, hparams: TabularHparams, path: Path) -> Iterator[tuple[dict[str, Any], Tensor]]:
        """Rows of a table with the columns that the model learned from, in any order, encoded as in training.

        The columns of `ignore` go along, so that identifiers are in the output; lists and their like do not.

        Categories that training has not seen are told when all rows are read.

        Raises:
            FileError: a column is missing, or a value can't be used.
        """
        import torch

        from tui_trainer.datasets.tables import table_pieces
        from tui_trainer.datasets.unseen import Unseen

        encoder = self._encoder
        assert encoder is not None
        row, unseen = 0, Unseen(f"rows {_UNSEEN}")
        for piece in table_pieces(path, {*encoder.features.categorical, *hparams.ignore}):
            encoder.check(piece, {*hparams.ignore, self._target_name})
            if row == 0:
                known = {*encoder.features.numeric, *encoder.features.categorical, *hparams.ignore}
                if extra := [name for name in piece.columns if name not in {*known, self._target_name}]:
                    warnings.warn(
                        f"{path}: not learned from, and passed over: {', '.join(extra)}", stacklevel=2
                    )
            kept = {name: column for name, column in piece.columns.items() if name in hparams.ignore}
            kept = {name: column for name, column in kept.items() if not column.unusable}
            encoded = encoder.encode(piece)
            encoder.count_unseen(unseen, piece, encoded)
            for place, inputs in enumerate(torch.from_numpy(encoded)):
                yield {"row": row, **{name: column.text(place) for name, column in kept.items()}}, inputs
                row += 1
        unseen.tell()
