"""A run that is killed again and again until it is finished, looked over after each life."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

from tests.faults.lives import Death, Life, Lives
from tests.faults.tasks import SEEN, numbers_seen
from tui_trainer.runs.checkpoints import newest_good, read_index, verify
from tui_trainer.runs.layout import RunLayout
from tui_trainer.runs.reader import RunReader
from tui_trainer.runs.state import read_state

INTERVAL = 3
"""Steps between two saves."""

BATCHES = 6
"""Of an epoch, 10 of 60 samples each."""

EPOCHS = 4

WORDS = (
    "--no-ui", "tests.faults.tasks:Numbered", "--resume", "auto", "--epochs", EPOCHS, "--batch_size", 10,
    "--checkpoint_every", f"{INTERVAL}steps", "--keep_checkpoints", 2, "--dropout", 0.2, "--log_rate", 0,
    "--scheduler", "cosine", "--ema_decay", 0.8, "--quiet",
)  # fmt: skip

_DEATHS = {"call": 70, "save": 90, "rotate": 16, "train": 2 * BATCHES, "test": 6}
"""Moments at which a life may end, and the last of them to choose from."""


def chosen(dice: Random) -> Death:
    """A moment at random: one of those that count, or any by the clock."""
    moment = dice.choice([*_DEATHS, "clock"])
    if moment == "clock":
        return Death(seconds=dice.uniform(0.0, 0.3))
    return Death(moment, dice.randint(1, _DEATHS[moment]))


class MortalRun:
    """One run.

    Args:
        lives: forks its processes.
        root: the run directory.
        words: more words of its command line.

    Attributes:
        finished: whether it needs no further life.
        kept: sample numbers of each training batch that counts, in order.
    """

    def __init__(self, lives: Lives, root: Path, *words: object) -> None:
        self.layout = RunLayout(root)
        self.finished = False
        self.kept: list[list[int]] = []
        self._lives = lives
        self._words = ("--run-dir", root, *words)
        self._seen = root.with_name(f"{root.name}.seen")

    def live(self, death: Death | None = None, **options: Any) -> Life:
        """Start or resume it, and look over what is left.

        Args:
            death: when it is killed; None: it trains to its end.
            options: of `Lives.live`.

        Raises:
            AssertionError: something is not as it should be.
        """
        before = self._saved_steps()
        self._seen.unlink(missing_ok=True)
        life = self._lives.command(
            *WORDS,
            *self._words,
            death=death,
            run_dir=self.layout.root,
            environment={SEEN: str(self._seen)},
            **options,
        )
        assert life.killed or life.code == 0, (death, life)
        assert life.strays == [], (death, life)
        self.finished = not life.killed
        trained = numbers_seen(self._seen.read_text()) if self._seen.exists() else []
        after = self._saved_steps()
        lost = before + len(trained) - after
        # One interval, and another where the checkpoint between them was being written when the life ended.
        assert 0 <= lost <= 2 * INTERVAL, (death, before, len(trained), after)
        self.kept += trained[: after - before]
        self._look_over(life)
        return life

    def _saved_steps(self) -> int:
        """Where the next life goes on."""
        entry, problems = newest_good(self.layout)
        assert problems == []
        return 0 if entry is None else int(entry["step"])

    def _look_over(self, life: Life) -> None:
        """Every checkpoint is whole, and every reader reads."""
        for entry in read_index(self.layout):
            assert verify(self.layout, entry["tag"]) == []
        reader = RunReader(self.layout.root)
        if not reader.run():
            return
        # The last thing a run does is to note in run.json that it has ended.
        ended = any(event["event"] == "run_end" for event in reader.events())
        assert ended or life.killed
        assert read_state(reader).status == ("finished" if ended else "crashed")
        assert len(reader.steps()) == 0 or reader.steps().shape[1] == len(reader.columns())
        listed = self._lives.command("runs", "--json", "--runs-dir", self.layout.root.parent)
        assert (listed.code, listed.output.count("\n")) == (0, 1), listed.output
