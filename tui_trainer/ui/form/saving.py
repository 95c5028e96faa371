"""Saving the form as a preset: by the command that saves presets, so that there is one way to do it."""

from __future__ import annotations

from pathlib import Path

from tui_trainer.config.presets import path_to_save, project_folder, user_folder
from tui_trainer.ui.form.child import output_of
from tui_trainer.ui.form.model import Form

TIMEOUT = 60.0


def target(name: str, project: bool) -> Path:
    """The file that a preset will be saved as.

    Raises:
        UsageError: the name can't be a preset's.
    """
    return path_to_save(name, project_folder() if project else user_folder())


def save_words(form: Form, name: str, description: str, project: bool, overwrite: bool) -> list[str]:
    """The command that saves the form."""
    assert form.meaning is not None
    head = form.meaning.head
    source = ["--from", head[head.index("--preset") + 1]] if "--preset" in head else ["--task", head[0]]
    switches = [*(["--project"] if project else []), *(["--overwrite"] if overwrite else [])]
    # Without one, a preset that is replaced keeps its own.
    about = [f"--description={description}"] if description or not overwrite else []
    return ["presets", "save", name, *source, *form.flags, *about, *switches]


async def save(form: Form, name: str, description: str, project: bool, overwrite: bool) -> Path:
    """Save the form as a preset and give its file.

    Raises:
        TrainerError: the command's.
    """
    out = await output_of(save_words(form, name, description, project, overwrite), TIMEOUT)
    return Path(out.strip().splitlines()[-1])
