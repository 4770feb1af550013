"""Progress is shown on a terminal, by whoever was given, and nowhere else."""

from __future__ import annotations

import sys

from alp.progress import on_terminal


def test_a_display_of_ones_own_is_called() -> None:
    told: list[tuple[str, float, float]] = []
    with on_terminal(lambda *each: told.append(each)) as show:
        show("attack", 1, 2)
    assert told == [("attack", 1, 2)]


def test_it_is_silent_where_there_is_no_terminal(capsys) -> None:
    with on_terminal(None) as show:
        show("attack", 1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(capsys, monkeypatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    with on_terminal(None) as show:
        show("attack", 1, 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert "attack" in err
