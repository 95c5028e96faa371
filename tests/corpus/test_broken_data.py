"""Broken data cost no traceback and leave no run behind: a message says what, where and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpus.broken_data import CASES, Case
from tui_trainer.cli.main import main


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_broken_data(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if "parquet" in case.words or any("arrow" in each for each in case.says):
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    words = case.words.split()
    case.make(tmp_path / words[words.index("--dataset_path") + 1])
    code = main(["--no-ui", *words, "--device", "cpu", "--epochs", "1", "--runs-dir", "runs"])
    told = capfd.readouterr().err
    assert code == case.code, told
    for words_said in case.says:
        assert words_said in told
    assert "error: " in told
    assert "hint: " in told
    assert "Traceback" not in told
    assert list((tmp_path / "runs").glob("*/run.json")) == []
