"""Every key of the app, as data.

Bindings, the key bar, the help screen, the palette and the README's table are made from this one table.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding

PLACES = {
    "app": "Everywhere",
    "setup": "Setup",
    "live": "Live",
    "runs": "Runs",
    "compare": "Compare",
    "checkpoints": "Checkpoints",
}
"""Where keys hold, and how a person calls it."""


@dataclass(frozen=True)
class Key:
    """One key.

    Attributes:
        where: a place of `PLACES`.
        keys: as Textual names them, separated by commas.
        action: the method `action_…` of the place's screen, or of the app.
        label: in the key bar; empty for a key that is listed in the help only.
        help: one sentence.
        shown: how the keys are written; by default as Textual names them.
        priority: works inside a text field too.
    """

    where: str
    keys: str
    action: str
    label: str
    help: str
    shown: str = ""
    priority: bool = False

    @property
    def display(self) -> str:
        """The keys as a person reads them."""
        return self.shown or self.keys.replace(",", " ")


KEYS = (
    Key("app", "f2,1", "show('setup')", "", "Setup: choose a preset, change hparams, start.", "F2 1"),
    Key("app", "f3,2", "show('live')", "", "Live: the run that trains.", "F3 2"),
    Key("app", "f4,3", "show('runs')", "", "Runs: every run of the runs folder.", "F4 3"),
    Key("app", "f5,4", "show('checkpoints')", "", "Checkpoints: of a run, or of all.", "F5 4"),
    Key("app", "f1,question_mark", "help", "Help", "The keys of this screen.", "?"),
    Key("app", "ctrl+p", "command_palette", "", "Find any action by its name.", "ctrl+p"),
    Key("app", "q", "quit", "Quit", "Leave; asks first while a run trains here.", "q"),
    Key(
        "app",
        "ctrl+q,ctrl+c",
        "quit",
        "",
        "Leave, also from inside a text field.",
        "ctrl+q ctrl+c",
        priority=True,
    ),
    # Setup
    Key(
        "setup",
        "ctrl+r",
        "start",
        "Start",
        "Start training here, also from inside a text field.",
        priority=True,
    ),
    Key("setup", "r", "start", "", "Start training here.", "r"),
    Key(
        "setup",
        "D",
        "start_detached",
        "Detached",
        "Start in the background; it goes on when the app is closed.",
        "D",
    ),
    Key("setup", "ctrl+s", "save_preset", "Save", "Save the form as a preset.", priority=True),
    Key("setup", "d", "diff", "Diff", "Show what differs from the preset.", "d"),
    Key("setup", "t", "task", "Task", "Choose a task, or a task file of your own.", "t"),
    Key("setup", "slash", "filter", "Filter", "Filter the list of presets.", "/"),
    Key("setup", "y", "copy_command", "Copy command", "Copy the equivalent command line.", "y"),
    Key("setup", "u", "undo_field", "Undo", "Set the field back to the preset's value.", "u"),
    Key("setup", "U", "undo_all", "", "Set every field back to the preset's values.", "U"),
    Key("setup", "e", "estimate", "Estimate", "Estimate samples, steps and parameters now.", "e"),
    Key("setup", "i", "data", "Data", "Report on the data: balance, gaps, samples drawn, problems.", "i"),
    Key(
        "setup",
        "right,tab",
        "edit",
        "",
        "From the presets into the form; in the form tab goes to the next group.",
        "→ tab",
    ),
    Key("setup", "escape", "leave_field", "", "Leave the field; single keys work again.", "esc"),
    Key("setup", "ctrl+l", "reload", "", "Read presets and task file again."),
    # Live
    Key("live", "space", "pause", "Pause", "Pause at the end of this step, or go on.", "space"),
    Key("live", "S", "stop_now", "Stop", "Stop at the end of this step and save.", "S"),
    Key("live", "E", "stop_epoch", "Epoch end", "Stop at the end of this epoch.", "E"),
    Key("live", "w", "save", "Save", "Save a checkpoint now.", "w"),
    Key("live", "L", "set_lr", "lr", "Change the learning rate.", "L"),
    Key("live", "tab", "chart(True)", "Chart", "Next chart.", "tab"),
    Key("live", "shift+tab", "chart(False)", "", "Previous chart.", "shift+tab"),
    Key("live", "enter", "maximise", "", "One chart over the whole screen, or back.", "enter"),
    Key("live", "left", "move(-1)", "", "Previous pane; in inspect mode the cursor.", "←"),
    Key("live", "right", "move(1)", "", "Next pane; in inspect mode the cursor.", "→"),
    Key("live", "shift+left", "cursor(-10)", "", "In inspect mode ten columns to the left.", "shift+←"),
    Key("live", "shift+right", "cursor(10)", "", "In inspect mode ten columns to the right.", "shift+→"),
    Key("live", "up", "scroll(-1)", "", "Scroll the pane up: epochs or log.", "↑"),
    Key("live", "down", "scroll(1)", "", "Scroll the pane down.", "↓"),
    Key("live", "pageup", "page(-1)", "", "Scroll the pane up by its height.", "pgup"),
    Key("live", "pagedown", "page(1)", "", "Scroll the pane down by its height.", "pgdn"),
    Key("live", "x", "inspect", "Inspect", "Inspect mode: a cursor shows the values of every curve.", "x"),
    Key("live", "plus,equals_sign", "zoom(2.0)", "", "Zoom in.", "+"),
    Key("live", "minus", "zoom(0.5)", "", "Zoom out.", "-"),
    Key("live", "end", "back_to_live", "", "Back to what is newest, in the chart and in the pane.", "end"),
    Key("live", "y", "option('log_y')", "log y", "Logarithmic y axis.", "y"),
    Key("live", "m", "option('smoothing')", "Smooth", "Smoothing: off, 0.6, 0.9.", "m"),
    Key(
        "live",
        "R",
        "resume",
        "Resume",
        "Go on here with a run that has ended; a finished one gets twice as much to do.",
        "R",
    ),
    Key("live", "M", "option('marker')", "", "Marker: braille, blocks, ASCII.", "M"),
    Key("live", "a", "option('x_axis')", "", "x axis: step, epoch, time.", "a"),
    Key("live", "f", "option('recent')", "", "All of the run, or its recent part.", "f"),
    Key("live", "C", "checkpoints", "", "Checkpoints of this run.", "C"),
    Key("live", "i", "logged", "Logged", "Images and texts that the task has logged.", "i"),
    Key(
        "live",
        "escape",
        "leave",
        "",
        "Leave inspect mode or the maximised chart; then mark alerts as read.",
        "esc",
    ),
    # Runs
    Key("runs", "enter", "open", "Open", "Show the run on Live.", "enter"),
    Key("runs", "slash", "filter", "Filter", "Filter by text, key=value or key<value.", "/"),
    Key("runs", "s", "sort", "Sort", "Sort by the next column.", "s"),
    Key("runs", "S", "reverse", "", "Turn the order round.", "S"),
    Key("runs", "space", "select", "Select", "Select or deselect a run.", "space"),
    Key("runs", "c", "compare", "Compare", "Compare the selected runs.", "c"),
    Key("runs", "b", "baseline", "Baseline", "Draw this run dim behind the live one, or no more.", "b"),
    Key("runs", "R", "resume", "Resume", "Go on here from its newest checkpoint.", "R"),
    Key("runs", "l", "load", "Load", "Load its hparams into Setup.", "l"),
    Key("runs", "C", "checkpoints", "", "Checkpoints of this run.", "C"),
    Key("runs", "p", "pin", "Pin", "Pin or unpin: a pinned run can't be deleted.", "p"),
    Key("runs", "delete", "delete", "Delete", "Delete the run, after a confirmation.", "del"),
    Key("runs", "y", "copy_path", "", "Copy the run's directory.", "y"),
    Key("runs", "escape", "leave", "", "Clear the filter or the selection.", "esc"),
    # Compare
    Key("compare", "tab", "next_chart", "Chart", "Next metric.", "tab"),
    Key("compare", "shift+tab", "previous_chart", "", "Previous metric.", "shift+tab"),
    Key("compare", "y", "log_y", "log y", "Logarithmic y axis.", "y"),
    Key("compare", "m", "smoothing", "Smooth", "Smoothing: off, 0.6, 0.9.", "m"),
    Key("compare", "a", "x_axis", "x axis", "x axis: step, epoch, time.", "a"),
    Key("compare", "d", "only_different", "All", "All hparams, or only those that differ.", "d"),
    Key("compare", "escape", "leave", "Back", "Back to the list of runs.", "esc"),
    # Checkpoints
    Key("checkpoints", "R", "resume", "Resume", "Go on from here; from an earlier one in a new run.", "R"),
    Key("checkpoints", "l", "load", "Load", "Load its hparams into Setup.", "l"),
    Key("checkpoints", "e", "evaluate", "Evaluate", "Measure it anew: metrics, each class, confusions."),
    Key("checkpoints", "x", "export", "Export", "Write it for other tools: safetensors, torch.export, ONNX."),
    Key("checkpoints", "p", "pin", "Pin", "Pin or unpin: a pinned checkpoint is never deleted.", "p"),
    Key("checkpoints", "v", "verify", "Verify", "Compare the files with their SHA-256.", "v"),
    Key("checkpoints", "s", "sort", "Sort", "Sort by the next column.", "s"),
    Key("checkpoints", "S", "reverse", "", "Turn the order round.", "S"),
    Key("checkpoints", "slash", "filter", "Filter", "Filter by text, key=value or key<value.", "/"),
    Key("checkpoints", "A", "all_runs", "All runs", "Checkpoints of all runs, or of this one.", "A"),
    Key(
        "checkpoints",
        "enter",
        "details",
        "Details",
        "Hparams, metrics and tensors of the checkpoint.",
        "enter",
    ),
    Key("checkpoints", "y", "copy_path", "Copy path", "Copy the path of the .pt file.", "y"),
    Key("checkpoints", "delete", "delete", "Delete", "Delete the checkpoint, after a confirmation.", "del"),
    Key("checkpoints", "escape", "leave", "", "Close the details, or clear the filter.", "esc"),
)


def keys_of(where: str) -> list[Key]:
    """The keys of one place, in the order of the table."""
    return [key for key in KEYS if key.where == where]


def bindings(where: str) -> list[Binding]:
    """Textual's bindings of one place."""
    return [
        Binding(
            key.keys,
            f"app.{key.action}" if where == "app" else key.action,
            key.label or key.help,
            show=bool(key.label),
            priority=key.priority,
        )
        for key in keys_of(where)
    ]
