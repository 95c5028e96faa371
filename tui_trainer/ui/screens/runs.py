"""Runs: every run of the runs folder."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tui_trainer.config.fields import flag_text
from tui_trainer.errors import TrainerError
from tui_trainer.headless.words import (
    abbreviated,
    age,
    duration,
    near_path,
    number,
    one_line,
    plural,
    short_name,
    size,
)
from tui_trainer.runs import control, manage
from tui_trainer.runs.directions import better_direction
from tui_trainer.runs.json_values import as_number
from tui_trainer.runs.layout import RunLayout
from tui_trainer.ui.catalogue import Run
from tui_trainer.ui.dialogs.message import ConfirmDialog
from tui_trainer.ui.query import Record
from tui_trainer.ui.resume import resume_refusal
from tui_trainer.ui.screens.compare import MOST, CompareScreen
from tui_trainer.ui.screens.listing import ListPage, Order
from tui_trainer.ui.screens.page import NARROW
from tui_trainer.ui.status import shown_status
from tui_trainer.ui.widgets.lines import BLANK, Line
from tui_trainer.ui.widgets.sparkline import sparkline
from tui_trainer.ui.widgets.table import Cell, Column, Styled

_CURVE = 9


def best_text(run: Run, with_epoch: bool = True) -> str:
    """`0.9750 test/acc @11`; empty before there is a best."""
    best = run.summary["best"]
    if not best:
        return ""
    name = abbreviated(short_name(str(best.get("metric") or ""), 18))
    at = f" @{one_line(str(best.get('epoch')))}" if with_epoch else ""
    return f"{number(as_number(best.get('value')))} {name}{at}"


def changed_text(changed: Mapping[str, Any]) -> str:
    """`batch_size 64  lr 0.003`."""
    return "  ".join(f"{one_line(name)} {one_line(flag_text(value))}" for name, value in changed.items())


def _epochs_text(run: Run) -> str:
    epoch, epochs = run.summary["epoch"], run.summary["epochs"]
    return f"{epoch}/{epochs}" if epochs else str(epoch)


def _time_text(run: Run) -> str:
    seconds = run.summary["duration_s"]
    return "" if seconds is None else duration(seconds)


def _best_key(run: Run) -> tuple[str, float] | None:
    """Runs with the same metric side by side, the better ones first."""
    best = run.summary["best"]
    value = as_number(best.get("value")) if best else float("nan")
    if value != value:
        return None
    metric = str(best.get("metric"))
    return metric, value if better_direction(metric) == "min" else -value


class RunsScreen(ListPage[Run]):
    """Every run, newest first."""

    WHERE = "runs"
    NOUN = "run"
    REMEMBERED = "runs.sort"
    ORDERS: ClassVar[Sequence[Order[Run]]] = (
        Order("age", "age", lambda run: run.created, descending=True),
        Order("state", "state", lambda run: run.status),
        Order("name", "name", lambda run: (run.name or run.short_id).lower()),
        Order("task", "task", lambda run: run.task or None),
        Order("best", "best", _best_key),
        Order("epochs", "epochs", lambda run: run.summary["epoch"], descending=True),
        Order("time", "time", lambda run: run.summary["duration_s"], descending=True),
    )

    def __init__(self) -> None:
        super().__init__()
        self._marked: set[Path] = set()
        self._drawn: dict[Path, tuple[float, ...]] = {}

    # ------------------------------------------------------------------ the list

    def columns(self) -> Sequence[Column]:
        return (
            Column("state", 10),
            Column("name / id", 18, grow=2, most=30, name="name"),
            Column("task", 7, grow=1, most=18, drop=6),
            Column("best", 16 if self._narrow else 20, grow=1, most=26, drop=4),
            Column("epochs", 7 if self._narrow else 9, right=True, grow=1, most=11, drop=2),
            Column("time", 8, right=True, drop=7),
            Column("curve", _CURVE, drop=8),
            Column("changed", 10, grow=4, drop=5),
            Column("age", 10, right=True, drop=9),
        )

    @property
    def _narrow(self) -> bool:
        return self.size.width < NARROW

    def cells(self, item: Run) -> Sequence[Cell]:
        state = shown_status(item.status)
        failed = item.status in ("failed", "crashed", "unknown")
        changed = one_line(str(item.summary["reason"])) if failed else ""
        curve = self.trainer.catalogue.curve(item) or ()
        return (
            Styled(state.text, state.look),
            self._called(item),
            item.task,
            best_text(item, not self._narrow) or "–",
            _epochs_text(item),
            _time_text(item),
            Styled(sparkline(curve, _CURVE), "accent"),
            Styled(changed, "bad") if changed else changed_text(item.changed),
            Styled(age(item.created), "dim"),
        )

    def _called(self, run: Run) -> str:
        words = [
            run.name,
            run.short_id,
            "pin" if run.pinned else "",
            "baseline" if self._is_baseline(run) else "",
        ]
        return " ".join(word for word in words if word)

    def _is_baseline(self, run: Run) -> bool:
        return self.trainer.baseline is not None and self.trainer.baseline.run_dir == run.root

    def key(self, item: Run) -> Hashable:
        return item.root

    def items(self) -> Sequence[Run]:
        return self.trainer.catalogue.runs

    def version(self) -> Hashable:
        self.trainer.catalogue.watch()
        return self.trainer.catalogue.generation

    def record(self, item: Run) -> Record:
        return item.record

    def nothing(self) -> str:
        if not self.trainer.catalogue.complete:
            return "reading the runs folder…"
        folder = one_line(near_path(self.trainer.options.runs_dir))
        return f"no runs in {folder} yet: 1 opens Setup, r starts one"

    def facts(self) -> Iterator[tuple[str, str]]:
        if not self.trainer.catalogue.complete:
            yield "reading…", "dim"
        if self._marked:
            yield f"{len(self._marked)} selected", "warning"
        yield f"in {one_line(near_path(self.trainer.options.runs_dir))}", "dim"

    def details(self, item: Run, wide: bool) -> Sequence[Line]:
        state = shown_status(item.status)
        summary = item.summary
        why = one_line(str(summary["reason"]))
        head: Line = (
            (state.text, state.look if state.look != "dim" else ""),
            (f"  {item.task} · {one_line(item.root.name)}{f' · {item.name}' if item.name else ''}", "strong"),
        )
        facts = [f"epoch {_epochs_text(item)}", f"step {summary['step']:,}", _time_text(item)]
        facts += [one_line(str(summary["device"])), age(item.created), "pinned" if item.pinned else ""]
        how = " · ".join(fact for fact in facts if fact)
        metrics = [(short_name(name), number(value)) for name, value in summary["metrics"].items()]
        best = best_text(item)
        if not wide:
            values = "  ".join(f"{name} {value}" for name, value in metrics)
            return (
                head,
                ((f"{how}{f' · {why}' if why else ''}", ""),),
                ((f"best {best}   " if best else "", "accent"), (values, "")),
                ((changed_text(item.changed) or "nothing changed, epochs and device aside", "dim"),),
            )
        lines: list[Line] = [((state.text, head[0][1]),), ((one_line(item.root.name), "strong"),)]
        lines += [((item.name, "strong"),)] if item.name else []
        lines += [((item.task, ""),), ((how, ""),), ((why, "bad" if state.look == "bad" else "dim"),), BLANK]
        lines += [((f"best {best}", "accent"),), BLANK] if best else []
        lines += [((f"{name:<28} ", "dim"), (value, "")) for name, value in metrics]
        lines += [BLANK, (("changed", "head"),)]
        lines += [
            ((f"{one_line(k):<28} ", "dim"), (one_line(flag_text(v)), "")) for k, v in item.changed.items()
        ]
        lines += [] if item.changed else [(("nothing against the preset, epochs and device aside", "dim"),)]
        return [*lines, BLANK, ((one_line(near_path(item.root)), "dim"),)]

    def ticked(self) -> None:
        """Draw the curves of the rows in view as they are read."""
        visible = self.table.visible_rows()
        catalogue = self.trainer.catalogue
        if self.table.shows("curve"):
            catalogue.want_curves(visible)
        found = {run.root: curve for run in visible if (curve := catalogue.curve(run)) is not None}
        news = [root for root, curve in found.items() if self._drawn.get(root) is not curve]
        if news:
            self._drawn = found
            self.refresh_cells(news)

    def rebuild(self) -> None:
        super().rebuild()
        if self._marked and self.trainer.catalogue.complete:
            gone = self._marked - {run.root for run in self.items()}
            if gone:
                self._mark(self._marked - gone)

    # ------------------------------------------------------------------ keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in (
            "open",
            "select",
            "baseline",
            "resume",
            "load",
            "checkpoints",
            "pin",
            "delete",
            "copy_path",
        ):
            return True if self.table.current is not None else None
        if action == "compare":
            return True if len(self._chosen()) > 1 else None
        return super().check_action(action, parameters)

    def _chosen(self) -> list[Run]:
        """The selected runs, in the order of the list; with fewer than two, the one under the cursor too."""
        current = self.table.current
        here = {current.root} if current is not None and len(self._marked) < 2 else set()
        chosen = self._marked | here
        return (
            [run for run in self.items() if run.root in chosen]
            if len(chosen) > 1
            else [current]
            if current
            else []
        )

    def action_open(self) -> None:
        run = self.table.choose()
        if run is not None:
            self.trainer.open_run(run.root)

    def on_table_row_selected(self) -> None:
        self.action_open()

    def action_select(self) -> None:
        run = self.table.choose()
        if run is not None:
            self._mark(self._marked ^ {run.root})
            self.table.action_move(1)

    def _mark(self, roots: set[Path]) -> None:
        self._marked = roots
        self.table.set_marked(roots)
        self.show_facts()
        self.refresh_bindings()

    def action_compare(self) -> None:
        chosen = self._chosen()
        if len(chosen) > MOST:
            self.say(f"{len(chosen)} runs are selected; the first {MOST} are compared")
        self.app.switch_screen(CompareScreen([run.root for run in chosen[:MOST]]))

    def action_baseline(self) -> None:
        run = self.table.choose()
        if run is None:
            return
        before = self.trainer.baseline
        self.trainer.set_baseline(None if self._is_baseline(run) else run.root)
        self.refresh_cells({run.root, *({before.run_dir} if before is not None else ())})

    def action_resume(self) -> None:
        run = self.table.choose()
        if run is None:
            return
        refusal = resume_refusal(run.root)
        if refusal:
            self.say(refusal)
        else:
            self.trainer.resume(run.root)

    def action_load(self) -> None:
        run = self.table.choose()
        if run is None:
            return
        path = RunLayout(run.root).hparams_json
        if not run.hparams:
            self.say(f"{near_path(path)} is missing or unreadable; a checkpoint has a copy: C, then l")
            return
        self.trainer.open_setup(["--preset", str(path)])

    def action_checkpoints(self) -> None:
        run = self.table.choose()
        if run is not None:
            self.trainer.open_checkpoints(run.root)

    def action_copy_path(self) -> None:
        run = self.table.choose()
        if run is not None:
            self.app.copy_to_clipboard(str(run.root.absolute()))
            self.app.notify(f"copied {near_path(run.root)}", markup=False)

    def action_leave(self) -> None:
        if not self.leave_filter():
            self._mark(set())

    def action_pin(self) -> None:
        run = self.table.choose()
        if run is None:
            return
        layout, pinned = RunLayout(run.root), not run.pinned
        if control.is_live(layout):
            if self.trainer.request(run.root, "pin" if pinned else "unpin") is not None:
                self.app.notify(
                    f"{run.short_id}: asked its trainer to {'pin' if pinned else 'unpin'} it", markup=False
                )
            return
        self.in_thread("pin", lambda: manage.set_run_pinned(layout, pinned))

    # ------------------------------------------------------------------ deleting

    def action_delete(self) -> None:
        chosen = self._marked_runs() or [run for run in [self.table.current] if run is not None]
        self.in_thread("contents", lambda: self._look(chosen))

    def _look(self, chosen: list[Run]) -> None:
        """Tell what can be deleted, and look at what would go. Called in a thread."""
        pinned = [run for run in chosen if run.pinned]
        live = [run for run in chosen if not run.pinned and control.is_live(RunLayout(run.root))]
        going = [run for run in chosen if run not in pinned and run not in live]
        left = ", ".join(
            text
            for text, runs in (
                (f"{_names(pinned)} pinned (p unpins)", pinned),
                (f"{_names(live)} training", live),
            )
            if runs
        )
        if going:
            self._ask(going, left)
        else:
            self.trainer.call_soon(lambda: self.say(f"nothing is deleted: {left}"))

    def _marked_runs(self) -> list[Run]:
        return [run for run in self.items() if run.root in self._marked]

    def _ask(self, going: list[Run], left: str) -> None:
        """Look at what would go, then ask. Called in a thread."""
        found = {run.root: manage.contents(RunLayout(run.root)) for run in going}
        bytes_, models = (sum(getattr(c, name) for c in found.values()) for name in ("size", "checkpoints"))
        what = f"{_label(going[0])}" if len(going) == 1 else plural(len(going), "run")
        lines = [f"{size(bytes_)} with {plural(models, 'checkpoint')}. This can't be undone.", ""]
        lines += [near_path(run.root) for run in going[:8]]
        lines += [f"and {len(going) - 8} more"] if len(going) > 8 else []
        foreign = [f"{root.name}/{name}" for root, c in found.items() for name in c.foreign]
        if foreign:
            more = f" and {len(foreign) - 4} more" if len(foreign) > 4 else ""
            lines += ["", f"Not part of the record, so it stays: {', '.join(foreign[:4])}{more}"]
        lines += ["", f"Left out: {left}"] if left else []
        self.trainer.call_soon(lambda: self._confirm(going, f"Delete {what}?", "\n".join(lines)))

    def _confirm(self, going: list[Run], title: str, message: str) -> None:
        # Who went on to something else meanwhile must not answer this by the way.
        if self.is_current:
            dialog = ConfirmDialog(title, message, "delete")
            self.app.push_screen(dialog, lambda yes: self._delete(going) if yes else None)

    def _delete(self, going: list[Run]) -> None:
        def delete() -> None:
            kept = 0
            errors: list[TrainerError] = []
            for run in going:
                try:
                    kept += not manage.delete_run(RunLayout(run.root))
                except TrainerError as error:
                    errors.append(error)
            gone = len(going) - len(errors)
            stays = f"; {plural(kept, 'folder')} with other files stayed" if kept else ""
            self.trainer.call_soon(
                lambda: self._deleted(f"deleted {plural(gone, 'run')}{stays}" if gone else "", errors)
            )

        self._mark(self._marked - {run.root for run in going})
        self.in_thread("delete", delete)

    def _deleted(self, said: str, errors: list[TrainerError]) -> None:
        if said:
            self.app.notify(said, markup=False)
        if errors:
            self.trainer.show_error(errors[0])


def _label(run: Run) -> str:
    return f"{run.task} {run.short_id}{f' ({run.name})' if run.name else ''}"


def _names(runs: Sequence[Run]) -> str:
    shown = ", ".join(run.short_id for run in runs[:4])
    more = f" and {len(runs) - 4} more" if len(runs) > 4 else ""
    return f"{shown}{more} {'is' if len(runs) == 1 else 'are'}"
