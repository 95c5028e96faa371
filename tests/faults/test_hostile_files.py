"""Row 13 of the fault table: hostile files. Nothing in them is executed, nothing outside of the run is
touched, and what can't be read is refused with a sentence."""

from __future__ import annotations

import json
import os
import re
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.crafted import Runs, archive, little_memory
from tests.faults.driving import Bench, Done
from tui_trainer.errors import FileError
from tui_trainer.files import write_json
from tui_trainer.ui.catalogue import curve_of, read_run
from tui_trainer.ui.dialogs.checkpoint import dialog_rows
from tui_trainer.ui.run_view import RunView
from tui_trainer.ui.saved import read_saved

pytestmark = pytest.mark.fault(
    13, "hostile files: code, bombs, names, links, holes, pipes", "nothing executed; refused with a sentence"
)

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""What a terminal obeys: everything but line feeds and tabs."""
EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[31m\x9b5n[bold red]x[/]\nsecond\r\u2028line\x00"
DEEP = "[" * 100_000 + "]" * 100_000
HUGE = "9" * 4000
TERABYTE = 1 << 40

BROWSING = (
    ("runs",),
    ("runs", "--json"),
    ("show",),
    ("show", "--all"),
    ("show", "--json"),
    ("checkpoints", "list"),
    ("checkpoints", "list", "--json"),
    ("checkpoints", "verify"),
)


def browse(bench: Bench) -> list[Done]:
    """Every command that only looks."""
    where = ("--runs-dir", bench.run.parent)
    listing = [bench.tui_train(*words, *where) for words in BROWSING if words[0] == "runs"]
    return listing + [bench.tui_train(*words, bench.run, *where) for words in BROWSING if words[0] != "runs"]


def show_in_app(run: Path) -> None:
    """Read what the screens of the app show of a run."""
    view = RunView(run)
    view.refresh()
    view.refresh()
    read_run(run)
    curve_of(run)
    with suppress(FileError):
        for saved in read_saved(run):
            dialog_rows(saved)


def fork(bench: Bench) -> Done:
    words = ("--no-ui", "--epochs", 3, "--run-dir", "runs/forked", "--fork", f"{bench.run}@2")
    return bench.tui_train(*words)


def assert_harmless(done: Done, *codes: int) -> None:
    assert done.code in codes, done.text
    assert "Traceback" not in done.text
    assert not CONTROL.search(done.text), repr(done.text)
    if done.code:
        assert done.err.startswith("error: ") or "\nerror: " in done.err


# ---------------------------------------------------------------------- checkpoints


def code(bench: Bench, name: str) -> None:
    archive(bench.layout.checkpoints / name, Runs(bench.folder / "executed"))


def bomb(bench: Bench, name: str) -> None:
    with zipfile.ZipFile(bench.layout.checkpoints / name, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", bytes(100_000_000))


def climbing(bench: Bench, name: str) -> None:
    with zipfile.ZipFile(bench.layout.checkpoints / name, "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02}.")
        file.writestr("archive/../../../outside", b"x")


def old(bench: Bench, name: str) -> None:
    value = Runs(bench.folder / "executed")
    torch.save(value, bench.layout.checkpoints / name, _use_new_zipfile_serialization=False)


ARCHIVES: dict[str, Callable[[Bench, str], None]] = {
    "runs code": code,
    "zip bomb": bomb,
    "name that leads up": climbing,
    "bare pickle that runs code": old,
}


pytestmark = pytest.mark.fault(
    13,
    "hostile files: pickles that run code, zip bombs, forged shapes, `../` names, escape sequences, links",
    "nothing runs, nothing outside of the run is touched; a sentence and exit code 3",
)


@pytest.mark.parametrize("kind", ARCHIVES)
@pytest.mark.parametrize("name", ["model_2.pt", "trainer_state_2.pt"])
def test_a_hostile_checkpoint_is_refused_by_who_opens_it(name: str, kind: str, bench: Bench) -> None:
    ARCHIVES[kind](bench, name)
    bench.vouch()
    with little_memory():
        for done in browse(bench):
            assert_harmless(done, 0)
        for done in (fork(bench), bench.resume()):
            assert_harmless(done, 3)
            assert name in done.err
    assert sorted(path.name for path in bench.folder.iterdir()) == ["runs", "tiny.py"]


# ---------------------------------------------------------------------- the record


def write(name: str, content: str | bytes) -> Callable[[Bench], None]:
    data = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    return lambda bench: (bench.run / name).write_bytes(data) and None


def change(name: str, values: dict[Any, Any]) -> Callable[[Bench], None]:
    """Set keys of a JSON file."""

    def apply(bench: Bench) -> None:
        path = bench.run / name
        write_json(path, json.loads(path.read_bytes()) | values)

    return apply


def entry(**values: Any) -> Callable[[Bench], None]:
    """Set keys of the newest checkpoint's entry."""

    def apply(bench: Bench) -> None:
        content = json.loads(bench.layout.checkpoints_index.read_bytes())
        content["checkpoints"][-1] |= values
        write_json(bench.layout.checkpoints_index, content)

    return apply


def append(*events: Any) -> Callable[[Bench], None]:
    def apply(bench: Bench) -> None:
        with open(bench.layout.events, "a") as file:
            for event in events:
                file.write((event if isinstance(event, str) else json.dumps(event)) + "\n")

    return apply


def hole(name: str) -> Callable[[Bench], None]:
    """Make a file a terabyte long, of nothing."""
    return lambda bench: os.truncate(bench.run / name, TERABYTE)


def pipe(name: str) -> Callable[[Bench], None]:
    def apply(bench: Bench) -> None:
        (bench.run / name).unlink(missing_ok=True)
        os.mkfifo(bench.run / name)

    return apply


def link(name: str, target: str) -> Callable[[Bench], None]:
    def apply(bench: Bench) -> None:
        (bench.run / name).unlink(missing_ok=True)
        (bench.run / name).symlink_to(target)

    return apply


ODD: dict[str, Any] = {
    "null": None, "true": True, "negative": -1, "huge": 1e308, "NaN": "NaN", "controls": EVIL,
    "empty list": [], "list": [[1]], "empty object": {}, "object": {"x": {"y": [1]}},
}  # fmt: skip
RUN = ("run_id", "name", "task", "status", "reason", "host", "pid", "device", "created", "ended")
ENTRY = ("epoch", "batch", "step", "time", "metrics", "best", "last", "pinned", "size")
EVENTS = (
    "run_start", "run_resume", "phase", "epoch_start", "evaluation", "epoch_end", "checkpoint", "control",
    "system", "log", "alert", "run_end",
)  # fmt: skip
EVENT = (
    "time", "step", "epoch", "batch", "metrics", "best", "lr", "seconds", "elapsed", "hparams", "parent",
    "directions", "monitor", "level", "title", "message", "path", "action", "value", "status", "reason",
    "name", "text", "image", "requested_by",
)  # fmt: skip
OUTSIDE = ("../../../outside.txt", "/etc/passwd", EVIL, "checkpoints/../run.json", "checkpoints/model_1.pt")
EPOCH = {"event": "epoch_end", "time": 1, "epoch": 3}


def all_events(value: Any) -> Callable[[Bench], None]:
    return append(*({"event": name, **dict.fromkeys(EVENT, value)} for name in EVENTS))


RECORDS: dict[str, Callable[[Bench], None]] = {
    **{f"run.json, all {name}": change("run.json", dict.fromkeys(RUN, odd)) for name, odd in ODD.items()},
    **{f"index, all {name}": entry(**dict.fromkeys(ENTRY, odd)) for name, odd in ODD.items()},
    **{f"events, all {name}": all_events(odd) for name, odd in ODD.items()},
    **{f"run.json, schema {name}": change("run.json", {"schema": odd}) for name, odd in ODD.items()},
    "run.json, parent": change("run.json", {"parent": {"run_id": EVIL, "run_dir": EVIL, "checkpoint": 1}}),
    "run.json, source": change("run.json", {"resumes": [EVIL], "task_source": {"file": "../../x"}}),
    "run.json, nested": write("run.json", DEEP),
    "run.json, list": write("run.json", "[1]"),
    "run.json, digits": write("run.json", f'{{"created": {HUGE}, "schema": 1, "status": {HUGE}}}'),
    "run.json, too many digits": write("run.json", f'{{"created": {HUGE}{HUGE}}}'),
    "run.json, surrogates": write("run.json", '{"name": "\\ud800\\udc00\\udfff", "status": "failed"}'),
    "run.json, no text": write("run.json", bytes(range(256)) * 9),
    "run.json, hole": hole("run.json"),
    "hparams.json, nested": write("hparams.json", DEEP),
    "hparams.json, nested a little": write("hparams.json", f'{{"task": {"[" * 900}{"]" * 900}}}'),
    "hparams.json, controls": change("hparams.json", {EVIL: EVIL, "lr": EVIL, "epochs": {"x": EVIL}}),
    "hparams.json, task": change("hparams.json", {"task": EVIL}),
    "hparams.json, pipe": pipe("hparams.json"),
    "hparams.json, device": link("hparams.json", "/dev/zero"),
    "hparams.json, hole": hole("hparams.json"),
    "events.jsonl, metric": append({**EPOCH, "metrics": {EVIL: 1}, "best": {"metric": EVIL, "value": 1}}),
    "events.jsonl, nested": append('{"event": "epoch_end", "x": ' + DEEP + "}"),
    "events.jsonl, digits": append(f'{{"event": "epoch_end", "epoch": {HUGE}, "step": -{HUGE}}}'),
    "events.jsonl, hole": hole("events.jsonl"),
    "events.jsonl, pipe": pipe("events.jsonl"),
    "events.jsonl, device": link("events.jsonl", "/dev/zero"),
    "steps.json, a million columns": change("steps.json", {"columns": [f"c{k}" for k in range(1_000_000)]}),
    "steps.json, odd columns": change("steps.json", {"columns": [1, None, EVIL]}),
    "steps.json, controls": change("steps.json", {"columns": [EVIL, "step"]}),
    "steps.json, other numbers": change("steps.json", {"dtype": "O"}),
    "steps.json, nested": write("steps.json", DEEP),
    "steps.f64, hole": hole("steps.f64"),
    "steps.f64, pipe": pipe("steps.f64"),
    "run.lock, pipe": pipe("run.lock"),
    "run.lock, hole": hole("run.lock"),
    "index, nested": write("checkpoints/checkpoints.json", DEEP),
    "index, hole": hole("checkpoints/checkpoints.json"),
    "index, pipe": pipe("checkpoints/checkpoints.json"),
    "index, huge tag": entry(tag="9" * 300),
    "index, control tag": entry(tag="2\x1b[31m"),
    "index, names outside": entry(files={name: {"size": 7, "sha256": "0"} for name in OUTSIDE}),
    "index, odd files": entry(files={"checkpoints/model_2.pt": 3, EVIL: []}),
    "model.pt, pipe": pipe("checkpoints/model_2.pt"),
    "model.pt, device": link("checkpoints/model_2.pt", "/dev/zero"),
    "tensors, nested": write("checkpoints/model_tensors_2.json", DEEP),
    "parameters, controls": change("checkpoints/model_parameters_2.json", {EVIL: EVIL, "lr": EVIL}),
    "console.log, controls": write("console.log", EVIL),
}  # fmt: skip


_ALIKE = re.compile(r".* (all|schema) (?!controls|object)")
GOING_ON = [name for name in RECORDS if not _ALIKE.match(name)]
FORKED = [
    name for name in GOING_ON if not name.startswith(("events", "steps", "console", "tensors", "hparams"))
]
"""What `--fork` reads of its parent."""


@pytest.mark.parametrize("kind", RECORDS)
def test_browsing_a_hostile_record_costs_no_traceback_and_no_escape(kind: str, bench: Bench) -> None:
    RECORDS[kind](bench)
    with little_memory():
        for done in browse(bench):
            assert_harmless(done, 0, 2, 3)
        show_in_app(bench.run)


@pytest.mark.parametrize("kind", GOING_ON)
def test_going_on_from_a_hostile_record_touches_nothing_else(kind: str, bench: Bench) -> None:
    (bench.folder / "outside.txt").write_text("outside")
    RECORDS[kind](bench)
    with little_memory():
        if kind in FORKED:
            assert_harmless(fork(bench), 0, 2, 3)
        assert_harmless(bench.resume(), 0, 2, 3)
        assert_harmless(bench.tui_train("checkpoints", "rm", f"{bench.run}@2", "--force"), 0, 2, 3)
    assert (bench.folder / "outside.txt").read_text() == "outside"


@pytest.mark.parametrize("folder", ["control", "checkpoints"])
def test_a_folder_that_is_a_link_is_left_alone(folder: str, bench: Bench) -> None:
    inside, outside = bench.run / folder, bench.folder / "elsewhere"
    inside.rename(outside)
    inside.symlink_to(outside)
    (outside / "model_77.pt").write_text("mine")
    (outside / "letter.txt").write_text("mine")
    before = sorted(path.name for path in outside.iterdir())
    for done in browse(bench):
        assert_harmless(done, 0)
    for words in (
        ("checkpoints", "rm", f"{bench.run}@1", "--force"),
        ("checkpoints", "pin", f"{bench.run}@1"),
    ):
        assert_harmless(bench.tui_train(*words), 3)
    done = bench.resume()
    assert_harmless(done, 3)
    assert "link" in done.err
    assert sorted(path.name for path in outside.iterdir()) == before


@pytest.mark.parametrize("name", ["run.json", "steps.json", "checkpoints/checkpoints.json"])
def test_a_newer_format_is_read_but_not_written(name: str, bench: Bench) -> None:
    change(name, {"schema": 2})(bench)
    for done in browse(bench):
        assert_harmless(done, 0)
    for words in (
        ("checkpoints", "rm", f"{bench.run}@1", "--force"),
        ("checkpoints", "pin", f"{bench.run}@1"),
    ):
        assert_harmless(bench.tui_train(*words), 3)
    done = bench.resume()
    assert_harmless(done, 3)
    assert Path(name).name in done.err
    assert "update tui-trainer" in done.err


@pytest.mark.parametrize("name", ["run.json", "steps.json", "checkpoints/checkpoints.json"])
def test_a_file_without_a_format_number_is_of_an_old_one(name: str, bench: Bench) -> None:
    path = bench.run / name
    content = json.loads(path.read_bytes())
    del content["schema"]
    write_json(path, content)
    for done in (*browse(bench), bench.resume()):
        assert_harmless(done, 0)
