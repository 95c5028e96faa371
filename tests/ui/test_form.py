"""The form's model: a command line edited field by field, and who says what it means."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tui_trainer.cli.train import plan
from tui_trainer.errors import TrainerError
from tui_trainer.ui.form.child import output_of, reported
from tui_trainer.ui.form.completion import complete_path
from tui_trainer.ui.form.editor import Line
from tui_trainer.ui.form.estimate import Estimate
from tui_trainer.ui.form.helper import Asker, Helper
from tui_trainer.ui.form.meaning import Meaning
from tui_trainer.ui.form.model import Form
from tui_trainer.ui.form.rows import rows_of
from tui_trainer.ui.settings import Settings

TASK = """
from tui_trainer import Field, Hparams, Task

class NetHparams(Hparams):
    width: int = Field(8, gt=0, group="Model", description="Units.")

class Net(Task):
    '''A net.'''
    hparams_class = NetHparams
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def with_helper(work: Callable[[Helper], Awaitable[Any]], timeout: float = 60.0) -> Any:
    async def run() -> Any:
        helper = Helper(timeout)
        try:
            return await work(helper)
        finally:
            await helper.close()

    return asyncio.run(run())


def loaded(words: list[str], *edits: tuple[str, str]) -> Form:
    """A form after loading words and typing into fields."""

    async def work(helper: Helper) -> Form:
        form = Form()
        form.load(words)
        form.take(await helper.ask(form.words))
        for name, text in edits:
            form.set(name, text)
        form.take(await helper.ask(form.words))
        return form

    form: Form = with_helper(work)
    return form


def test_the_words_of_the_form_are_what_one_would_type_and_mean_the_same() -> None:
    form = loaded(
        ["--preset", "digits", "--run-name", "my run", "--lr", "0.01"],
        ("lr", "3e-4"),
        ("optimizer", "AdamW"),
        ("deterministic", "true"),
        ("betas", "0.9,0.95"),
        ("keep_checkpoints", "3"),
    )
    assert form.command == (
        "tui-train --preset digits --optimizer AdamW --lr 3e-4 --betas 0.9,0.95 --deterministic "
        "--keep_checkpoints 3 --run-name 'my run'"
    )
    assert not form.why_not
    hparams: Any = plan(form.words).hparams
    assert (hparams.lr, hparams.optimizer, hparams.betas) == (3e-4, "AdamW", (0.9, 0.95))
    assert hparams.deterministic
    assert (hparams.keep_checkpoints, hparams.dropout, hparams.epochs) == (3, 0.3, 40)


def test_a_switch_that_the_preset_turns_on_is_turned_off_by_its_negative(tmp_path: Path) -> None:
    Path("mine.json").write_text('{"task": "digits", "deterministic": true, "lr": 0.01}')
    form = loaded(["--preset", "mine.json"], ("deterministic", "false"), ("lr", "0.01"))
    assert form.words == ["--preset", "mine.json", "--no_deterministic"]
    assert [(change.name, change.before, change.now) for change in form.changes] == [
        ("deterministic", "true", "false")
    ]


@pytest.mark.parametrize("text", ["--strange", "-1", "", "a b", "'"])
def test_whatever_is_typed_reaches_the_field_it_was_typed_into(text: str) -> None:
    form = loaded(["digits"], ("monitor", text))
    assert form.meaning is not None
    assert form.meaning.flags == {"monitor": text}
    assert form.text("monitor") == text


def test_problems_stand_below_their_fields_and_others_on_top() -> None:
    Path("mine.json").write_text('{"task": "digits",\n "lr": "abc",\n "sise": 3}')
    form = loaded(["--preset", "mine.json"])
    rows = rows_of(form, (), 100)
    assert rows[0].text.startswith("✗ mine.json:3: sise: unknown")
    at = next(k for k, row in enumerate(rows) if row.name == "lr")
    assert (rows[at].text, rows[at].wrong) == ("abc", True)
    assert rows[at + 1].text == '    ✗ expected a number > 0, got "abc"'
    assert form.why_not == "mine.json:3: sise: unknown (and 1 more)"


def test_what_was_typed_is_there_again_when_its_preset_comes_back() -> None:
    async def work(helper: Helper) -> Form:
        form = Form()
        for words, edit in ((["digits"], "7"), (["tabular"], ""), (["digits"], "")):
            form.load(words)
            form.take(await helper.ask(form.words))
            if edit:
                form.set("epochs", edit)
        return form

    assert with_helper(work).words == ["digits", "--epochs", "7"]


def test_folded_groups_say_how_much_is_changed_in_them() -> None:
    form = loaded(["digits"], ("seed", "3"), ("log_rate", "5"))
    (row,) = [row for row in rows_of(form, {"Run"}, 80) if row.name == "Run"]
    assert row.text == "2 changed"
    assert all(row.name != "seed" for row in rows_of(form, {"Run"}, 80))


# ---------------------------------------------------------------------- the helper


def test_a_task_file_that_is_edited_is_read_again() -> None:
    async def work(helper: Helper) -> tuple[Meaning, Meaning]:
        Path("net.py").write_text(TASK)
        first = await helper.ask(["net.py"])
        Path("net.py").write_text(TASK.replace("width", "breadth"))
        os.utime("net.py", (1, 1))
        assert helper.outdated
        return first, await helper.ask(["net.py"])

    first, second = with_helper(work)
    assert "width" in first.fields
    assert "width" not in second.fields
    assert "breadth" in second.fields


@pytest.mark.parametrize(
    ("code", "title"),
    [
        ("import os; os.abort()", "the task's code ended its process"),
        ("import os; os._exit(3)", "the task's code ended its process"),
        ("import ctypes; ctypes.string_at(0)", "the task's code ended its process"),
        ("def", "task file does not parse"),
        ("1 / 0", "task can't be imported"),
        (TASK.replace('"Units."', '"x" * (1 << 25)'), "the task's form is too large"),
    ],
)
def test_a_broken_task_file_is_an_error_and_the_next_question_is_answered(code: str, title: str) -> None:
    async def work(helper: Helper) -> tuple[TrainerError, Meaning]:
        Path("net.py").write_text(code)
        with pytest.raises(TrainerError) as caught:
            await helper.ask(["net.py"])
        return caught.value, await helper.ask(["digits"])

    error, meaning = with_helper(work)
    assert error.title == title
    assert meaning.task == "digits"


def test_a_task_file_that_makes_a_noise_reads_keys_and_starts_threads_is_answered_for() -> None:
    Path("net.py").write_text(
        "import os, sys, threading, time\n"
        "for fd in (1, 2):\n    os.write(fd, b'x' * (1 << 20))\n"
        "print('\\x1b[2J' + 'loud ' * 200_000)\n"
        "print(sys.stdin.read(), os.read(0, 9))\n"
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        f"os.system('cat')\n{TASK}"
    )

    async def work(helper: Helper) -> tuple[Meaning, Meaning]:
        return await helper.ask(["net.py"]), await asyncio.wait_for(helper.ask(["digits"], fresh=True), 30)

    own, other = with_helper(work)
    assert "width" in own.fields
    assert other.task == "digits"


@pytest.mark.parametrize("code", ["1 / 0", "import os; os._exit(3)", "import sys; sys.exit('no')", None])
def test_a_task_file_that_can_not_be_loaded_is_watched_until_it_is_mended(code: str | None) -> None:
    async def work(helper: Helper) -> Meaning:
        if code is not None:
            Path("net.py").write_text(code)
        with pytest.raises(TrainerError):
            await helper.ask(["net.py"], fresh=True)
        assert not helper.outdated
        Path("net.py").write_text(TASK)
        assert helper.outdated
        return await helper.ask(["net.py"], fresh=True)

    assert "width" in with_helper(work).fields


def test_a_task_file_that_hangs_is_given_up_and_its_process_ends() -> None:
    async def work(helper: Helper) -> tuple[TrainerError, Meaning]:
        Path("net.py").write_text(
            "import os, time\nopen('pid', 'w').write(str(os.getpid()))\n"
            "print('connecting …', flush=True)\ntime.sleep(600)\n"
        )
        with pytest.raises(TrainerError) as caught:
            await helper.ask(["net.py"])
        return caught.value, await helper.ask(["digits"])

    error, meaning = with_helper(work, timeout=5)
    assert error.title == "the task does not answer"
    assert "connecting …" in error.message
    assert meaning.task == "digits"
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path("pid").read_text()), 0)


def test_what_a_task_file_leaves_running_holds_nobody_up() -> None:
    async def work(helper: Helper) -> tuple[Meaning, Meaning]:
        Path("net.py").write_text(
            "import subprocess\nfrom tui_trainer import Task\n"
            "subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
            'class Net(Task):\n    "A task."\n'
        )
        first = await helper.ask(["net.py"])
        return first, await asyncio.wait_for(helper.ask(["digits"], fresh=True), 30)

    first, second = with_helper(work)
    assert first.source is not None
    assert second.task == "digits"


def test_only_the_newest_question_is_delivered() -> None:
    async def work(helper: Helper) -> list[Any]:
        answers: list[Any] = []
        asker = Asker(helper, answers.append)
        for k in range(50):
            asker.ask(["digits", "--epochs", str(k)])
        await asker.settled()
        return answers

    (answer,) = with_helper(work)
    assert answer.flags == {"epochs": "49"}


def test_another_task_does_not_wait_for_one_that_hangs() -> None:
    async def work(helper: Helper) -> list[Any]:
        Path("net.py").write_text("import time\ntime.sleep(600)\n")
        answers: list[Any] = []
        asker = Asker(helper, answers.append)
        asker.ask(["net.py"], fresh=True)
        await asyncio.sleep(0)
        asker.ask(["digits"], fresh=True)
        await asker.settled()
        return answers

    (answer,) = with_helper(work)
    assert answer.task == "digits"


def test_errors_of_a_command_keep_title_message_and_hint() -> None:
    with pytest.raises(TrainerError) as caught:
        asyncio.run(output_of(["presets", "show", "dijits"], 60))
    assert caught.value.title == "unknown preset"
    assert "did you mean digits" in caught.value.message
    assert caught.value.hint == "tui-train presets list"
    told = reported("Traceback …\nerror: wrong hparams: 2 problems\n  --lr: a\n  --x: b\nhint: --help", 2)
    assert (told.title, told.message, told.hint) == (
        "wrong hparams",
        "2 problems\n  --lr: a\n  --x: b",
        "--help",
    )
    assert "killed by SIGSEGV" in reported("", -11).message


def test_a_command_that_is_given_up_in_the_middle_leaves_nothing_for_asyncio_to_complain_about(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("net.py").write_text("import time\ntime.sleep(600)\n")
    complaints: list[dict[str, Any]] = []

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))
        waits = asyncio.Event()

        async def never(process: Any) -> None:
            waits.set()
            await asyncio.Event().wait()

        monkeypatch.setattr("tui_trainer.ui.form.child._ended", never)
        asked = asyncio.create_task(output_of(["net.py", "--help"], 120))
        await waits.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        del asked
        gc.collect()

    asyncio.run(work())
    assert complaints == []


def test_what_a_command_leaves_running_does_not_hold_up_its_answer() -> None:
    Path("net.py").write_text(
        "import subprocess\nfrom tui_trainer import Task\nsubprocess.Popen(['sleep', '300'])\n"
        'class Net(Task):\n    "A task."\n'
    )
    began = time.monotonic()
    assert "net" in asyncio.run(output_of(["net.py", "--help"], 120))
    assert time.monotonic() - began < 60


def test_the_working_directory_does_not_shadow_the_standard_library() -> None:
    Path("json.py").write_text("1 / 0")
    assert with_helper(lambda helper: helper.ask(["digits"])).task == "digits"


# ---------------------------------------------------------------------- small parts


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (["7"], "7"),
        (["backspace"], ""),
        (["end", "backspace", "5"], "0.005"),
        (["home", "delete", "1"], "1.001"),
        (["left", "left", "2"], "0.0201"),
        (["ctrl+w", "3"], "0.3"),
        (["ctrl+u", "4"], "4"),
        (["home", "ctrl+k"], ""),
        (["home", "ctrl+right", "9"], "09.001"),
        (["f2"], "0.001"),
    ],
)
def test_keys_edit_a_line(keys: list[str], text: str) -> None:
    line = Line("0.001", selected=True)
    for key in keys:
        if len(key) == 1:
            line.insert(key)
        else:
            line.key(key)
    assert line.text == text


def test_paths_complete_as_far_as_they_are_certain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Path("data/deep").mkdir(parents=True)
    Path("data/.hidden").touch()
    for name in ("one_a.csv", "one_b.csv"):
        Path("data", name).touch()
    assert complete_path("da") == ("data/", ["data/"])
    assert complete_path("data/o") == ("data/one_", ["one_a.csv", "one_b.csv"])
    assert complete_path("data/") == ("data/", ["deep/", "one_a.csv", "one_b.csv"])
    assert complete_path("data/", ".py") == ("data/deep/", ["deep/"])
    assert complete_path("none/x") == ("none/x", [])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert complete_path("~/da") == ("~/data/", ["data/"])


def test_the_estimate_is_a_sentence_and_unknown_sizes_are_question_marks() -> None:
    report = {
        "train_samples": 1438, "val_samples": 0, "test_samples": 359, "steps_per_epoch": 45,
        "total_steps": None, "parameters": 42_634, "device": "cuda:0",
    }  # fmt: skip
    assert Estimate.from_json(report).sentence("bfloat16").split(" · ") == [
        "1,438 train + 359 test samples",
        "45 steps an epoch, ? in all",
        "42,634 parameters",
        "bfloat16 on cuda:0",
    ]


def test_settings_that_can_not_be_written_are_no_trouble(tmp_path: Path) -> None:
    settings = Settings(tmp_path / "settings.json")
    settings.set("setup.last", ["--preset", os.fsdecode(b"b\xff.json")])
    settings.set("theme", "light")
    assert settings.get("theme", "") == "light"
