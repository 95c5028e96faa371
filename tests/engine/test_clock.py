"""The run's clock: pauses and standstills pass in no time, work does not."""

from __future__ import annotations

from tui_trainer.engine.clock import LATE_S, TrainingClock


class Machine:
    """Time that passes, with or without work."""

    def __init__(self) -> None:
        self.now, self.spent = 100.0, 7.0
        self.clock = TrainingClock(lambda: self.now, lambda: self.spent)

    def work(self, seconds: float, beats: bool = True) -> None:
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.spent += 0.1
            if beats:
                self.clock.beat()

    def stand(self, seconds: float) -> None:
        self.now += seconds


def test_a_clock_stands_still_while_paused() -> None:
    machine = Machine()
    begin = machine.clock()
    machine.stand(2)
    with machine.clock.standing():
        machine.stand(50)
        assert machine.clock() - begin == 2
    machine.stand(3)
    assert machine.clock() - begin == 5


def test_time_in_which_the_process_did_not_run_is_taken_out_before_anybody_sees_it() -> None:
    machine = Machine()
    begin = machine.clock()
    machine.work(2)
    machine.stand(300)
    assert round(machine.clock() - begin, 6) == 2
    machine.clock.beat()
    machine.work(1)
    assert round(machine.clock() - begin, 6) == 3


def test_a_process_that_is_only_busy_loses_nothing() -> None:
    machine = Machine()
    begin = machine.clock()
    machine.work(1)
    # Native code that lets no other thread run.
    machine.work(20, beats=False)
    assert round(machine.clock() - begin, 6) == 21


def test_a_short_silence_is_none() -> None:
    machine = Machine()
    machine.clock.beat()
    begin = machine.clock()
    machine.stand(0.9 * LATE_S)
    assert round(machine.clock() - begin, 6) == 0.9 * LATE_S


def test_a_standstill_inside_a_pause_counts_once() -> None:
    machine = Machine()
    machine.clock.beat()
    begin = machine.clock()
    with machine.clock.standing():
        machine.stand(30)
        machine.clock.beat()
        machine.stand(30)
    machine.work(1)
    assert round(machine.clock() - begin, 6) == 1


def test_without_beats_nothing_is_taken_out() -> None:
    machine = Machine()
    begin = machine.clock()
    machine.stand(600)
    assert machine.clock() - begin == 600
