"""Leaving when signals are not heard: when, and when not."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tui_trainer.engine.experiment import STOP_NOW_PATIENCE_S
from tui_trainer.engine.interrupt import Echoes, StopRequest
from tui_trainer.engine.watchdog import RECORD_S, START_S, STEP_S, Watchdog
from tui_trainer.errors import Exit


class Scene:
    """A watchdog with a clock of its own, and what came of it."""

    def __init__(self, closes_itself: bool = False, **stop: Any) -> None:
        self.now = 100.0
        self.ended: list[int] = []
        self.stop = StopRequest(**stop)
        self.stop.abandon = lambda: None if closes_itself else Exit.SIGTERM
        self.dog = Watchdog(self.stop, self.ended.append, lambda: self.now)

    def pass_time(self, seconds: float) -> list[int]:
        self.now += seconds
        self.dog.look()
        return self.ended


def test_before_the_first_step_one_signal_is_enough() -> None:
    scene = Scene()
    scene.dog.hear(signal.SIGTERM)
    assert scene.pass_time(0.9 * START_S) == []
    assert scene.pass_time(0.2 * START_S) == [143]
    assert scene.stop.last_words == "SIGTERM"


def test_a_step_may_take_as_long_as_it_likes_after_one_signal() -> None:
    scene = Scene(saves=True)
    scene.dog.hear(signal.SIGINT)
    assert scene.dog.wait_s() is None
    assert scene.pass_time(3600.0) == []
    scene.dog.hear(signal.SIGINT)
    assert scene.pass_time(1.1 * STEP_S) == [143]
    assert scene.stop.last_words == "SIGINT, without saving"


def test_a_start_that_has_heard_the_signal_may_end_the_save_of_its_first_state() -> None:
    scene = Scene()
    scene.dog.hear(signal.SIGTERM)
    scene.stop.leave("SIGTERM")
    assert scene.pass_time(START_S + STOP_NOW_PATIENCE_S / 2) == []
    assert scene.dog.wait_s() == pytest.approx(STEP_S - START_S - STOP_NOW_PATIENCE_S / 2)
    assert scene.pass_time(STEP_S) == [143]


def test_whoever_leaves_at_once_is_through_with_a_slow_save_before_the_process_is_ended() -> None:
    assert STOP_NOW_PATIENCE_S <= STEP_S / 2


def test_a_first_step_that_ends_in_time_is_followed_by_a_save() -> None:
    scene = Scene()
    scene.dog.hear(signal.SIGTERM)
    scene.stop.saves = True
    assert scene.pass_time(3600.0) == []
    assert scene.dog.wait_s() is None


def test_a_record_in_the_making_has_more_time() -> None:
    scene = Scene(shielded=True)
    scene.dog.hear(signal.SIGTERM)
    assert scene.pass_time(2 * START_S) == []
    assert scene.pass_time(RECORD_S) == [143]


def test_a_run_that_comes_to_its_end_by_itself_is_left_alone() -> None:
    scene = Scene(closes_itself=True)
    scene.dog.hear(signal.SIGTERM)
    assert scene.pass_time(2 * START_S) == []


def test_without_a_record_the_signal_decides_the_code() -> None:
    scene = Scene()
    scene.stop.abandon = None
    scene.dog.hear(signal.SIGINT)
    assert scene.pass_time(2 * START_S) == [130]


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGCHLD, signal.SIGHUP])
def test_other_signals_end_nothing(number: signal.Signals) -> None:
    scene = Scene()
    scene.dog.hear(number)
    assert scene.pass_time(3600.0) == []


def test_an_echo_is_no_second_signal() -> None:
    now = [0.0]
    echoes = Echoes(lambda: now[0])
    assert not echoes.is_echo(signal.SIGTERM)
    assert echoes.is_echo(signal.SIGTERM)
    assert not echoes.is_echo(signal.SIGINT)
    now[0] = 1.0
    assert not echoes.is_echo(signal.SIGTERM)
