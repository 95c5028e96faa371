"""Asking `tui-train tasks serve` what a command line means."""

from __future__ import annotations

import asyncio
import json
import os
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tui_trainer.errors import TrainerError
from tui_trainer.headless.words import clean, plural
from tui_trainer.ui.form.child import MAX_LINE, how_it_ended, kill, spawn
from tui_trainer.ui.form.meaning import Meaning

TIMEOUT = 60.0
"""Seconds for an answer. The first one waits for the import of a task file, which may load torch over a
network file system. Who does not want to wait loads something else meanwhile."""


class Helper:
    """The process that runs a task's code in the app's stead. It is started when it is needed.

    One process never loads two task files, or two states of one: modules stay imported.

    Args:
        timeout: seconds to wait for an answer.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._process: Process | None = None
        self._drain: asyncio.Task[None] | None = None
        self._stderr: deque[str] = deque(maxlen=12)
        self._source: Source | None = None
        self._fresh = False
        self._asked = 0

    @property
    def source(self) -> Source | None:
        """The task file that the last answer is about, or could not be had because of."""
        return self._source

    @property
    def outdated(self) -> bool:
        """Whether that file has changed since."""
        return self._source is not None and Source.now(self._source.path) != self._source

    async def ask(self, words: Sequence[str], fresh: bool = False) -> Meaning:
        """What a command line means.

        Args:
            words: those after `tui-train`.
            fresh: another task than before may be meant.

        Raises:
            TrainerError: it names no task that can be loaded, or its code hangs or ends the process.
        """
        # Until the answer says which file it is about. Looked at before it is imported, which takes a while.
        source = Source.named(words) or self._source
        source = Source.now(source.path) if source is not None else None
        if self._fresh or self.outdated or (fresh and self._source is not None):
            await self.close()
        self._source = source
        # Whatever goes wrong from here on, the next question meets a new process.
        self._fresh = True
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        self._asked += 1
        request = json.dumps({"id": self._asked, "words": [*words]})
        reply = b""
        try:
            process.stdin.write(f"{request}\n".encode())
            await process.stdin.drain()
            reply = await asyncio.wait_for(process.stdout.readline(), self._timeout)
        except TimeoutError:
            await self.close()
            raise TrainerError(
                "the task does not answer",
                f"importing it took more than {plural(round(self._timeout), 'second')}{self._last_words()}",
                "what takes long belongs into the task's methods, not into the module",
            ) from None
        except asyncio.CancelledError:
            await self.close()
            raise
        except ConnectionError:
            pass
        except ValueError:
            await self.close()
            raise TrainerError(
                "the task's form is too large",
                f"what tui-train tasks serve says of it has more than {MAX_LINE >> 20} MB",
                "give hparams shorter defaults and descriptions; data belongs into files",
            ) from None
        if not reply:
            await self.close()
            raise TrainerError(
                "the task's code ended its process",
                f"{how_it_ended(process.returncode)}{self._last_words()}",
                "run the file with python to see it fail",
            )
        meaning = _read(reply)
        self._fresh = False
        if meaning.source is None:
            self._source = None
        elif source is None or os.path.realpath(source.path) != os.path.realpath(meaning.source):
            self._source = Source.now(meaning.source)
        return meaning

    async def _running(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await spawn(["tasks", "serve"], stdin=PIPE)
            self._stderr.clear()
            self._drain = asyncio.create_task(self._read_stderr(self._process))
        return self._process

    async def _read_stderr(self, process: Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(1 << 14):
            self._stderr.extend(clean(chunk.decode(errors="replace")).splitlines())

    def _last_words(self) -> str:
        return "".join(f"\n{line}" for line in self._stderr)

    async def close(self) -> None:
        """End the process, whatever it does."""
        process, self._process, self._fresh = self._process, None, False
        if process is not None:
            await kill(process)
        if self._drain is not None:
            await self._drain
            self._drain = None


class Asker:
    """Asks for a form that is being edited: one question at a time, and of those that wait only the newest.

    Args:
        helper: who answers.
        deliver: gets the answer to the newest question, or why there is none.
    """

    def __init__(self, helper: Helper, deliver: Callable[[Meaning | TrainerError], None]) -> None:
        self._helper = helper
        self._deliver = deliver
        self._next: tuple[list[str], bool] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether an answer is still to come."""
        return self._task is not None and not self._task.done()

    def ask(self, words: Sequence[str], fresh: bool = False) -> None:
        """Ask what `words` mean; a `fresh` question does not wait for the answer to another one."""
        self._next = ([*words], fresh or (self._next is not None and self._next[1]))
        if fresh and self._task is not None:
            self._task.cancel()
        if fresh or not self.waiting:
            self._task = asyncio.create_task(self._work(self._task))

    async def _work(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        while self._next is not None:
            (words, fresh), self._next = self._next, None
            answer: Meaning | TrainerError
            try:
                answer = await self._helper.ask(words, fresh)
            except TrainerError as error:
                answer = error
            if self._next is None:
                self._deliver(answer)

    async def settled(self) -> None:
        """Wait until nothing is asked any more."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self._helper.close()


def _read(reply: bytes) -> Meaning:
    try:
        facts = json.loads(reply)
        if "error" not in facts:
            return Meaning.from_json(facts)
    except (ValueError, LookupError, TypeError) as error:
        raise TrainerError(
            "the helper process is not understood", f"{type(error).__name__}: {error}"
        ) from error
    raise TrainerError(**facts["error"])


@dataclass(frozen=True)
class Source:
    """A task file as it was at some time.

    Attributes:
        path: where it is.
        modified: when it was changed last, in nanoseconds; 0 where there is none.
    """

    path: str
    modified: int

    @classmethod
    def now(cls, path: str) -> Source:
        """A file as it is."""
        try:
            return cls(path, os.stat(path).st_mtime_ns)
        except OSError:
            return cls(path, 0)

    @classmethod
    def named(cls, words: Sequence[str]) -> Source | None:
        """The task file that a command line names in so many words."""
        files = (word.partition(":")[0] for word in words)
        return next((cls.now(file) for file in files if file.endswith(".py")), None)
