"""Paths on the command line: typed as they are, with whatever the shell lets through."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from agt_tournament.__main__ import main as tournament_main
from diffusion_auction.__main__ import main as auction_main
from generative_auctions.command_line import _multirun_first, _status, quote_paths
from generative_auctions.files import write_atomic

PARSER = OverridesParser.create()
paths = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" '\"\\()[]{},=#$~&;"), min_size=1)


def understood(argument: str) -> object:
    """The value that Hydra reads."""
    [quoted] = quote_paths([argument])
    return PARSER.parse_override(quoted).value()


@pytest.mark.parametrize("key", ["agent", "teams_dir", "json", "scores", "run_dir", "images_from"])
@pytest.mark.parametrize("path", ["my agent (1)", "a,b.py", "O'Neil.py", "2024", "x=y", "#1", "~/x", "C:\\x (1)\\"])
def test_a_path_is_what_was_typed(key: str, path: str) -> None:
    assert understood(f"{key}={path}") == path


@given(paths.map(str.strip).filter(bool))
def test_any_path_that_hydra_does_not_understand_is_what_was_typed(path: str) -> None:
    if path[0] in "'\"[{" or "," in path:
        return  # quoted already, a list
    try:
        plain = PARSER.parse_override(f"agent={path}").value()
    except Exception:
        plain = path
    if isinstance(plain, str):
        assert understood(f"agent={path}") == plain
    elif plain is not None:
        assert understood(f"agent={path}") == path


def test_a_list_is_quoted_part_by_part() -> None:
    assert understood("teams=[my agent (1)/,truthful_bidder, 'b (2)']") == ["my agent (1)/", "truthful_bidder", "b (2)"]
    assert understood("runs=[2024,a (1)]") == ["2024", "a (1)"]


@pytest.mark.parametrize(
    "argument",
    [
        *(
            "agent=my_agent",
            "agent=my agent",
            "agent='my agent (1)'",
            'agent="x"',
            "agent=null",
            "teams=[a,b]",
            "agent=",
        ),
        *("seed=1", "bids.vectors=[[0.2,0.8]]", "seed=(1)", "--help", "+sweep=x", "~agent", "agent"),
    ],
)
def test_what_hydra_understands_and_all_other_keys_stay(argument: str) -> None:
    assert quote_paths([argument]) == [argument]


def test_with_multirun_a_comma_still_separates() -> None:
    assert quote_paths(["-m", "agent=a,b"]) == ["-m", "agent=a,b"]
    assert quote_paths(["agent=a,b"]) == ["agent='a,b'"]


def test_multirun_may_be_asked_for_behind_the_keys() -> None:
    assert _multirun_first(["samples=2", "-m", "seed=0,1"]) == ["-m", "samples=2", "seed=0,1"]
    assert _multirun_first(["samples=2"]) == ["samples=2"]


@pytest.mark.parametrize("application", [auction_main, tournament_main])
def test_what_is_not_in_utf_8_is_refused_in_one_line(
    application: Callable[[], int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["run_dir=bad\udcff"], ["-m", "run_dir=bad\udcff", "seed=1,2"], ["agent=x", "\udcff"]):
        monkeypatch.setattr(sys, "argv", ["application", *arguments])
        assert application() == 2
        [line] = capsys.readouterr().err.splitlines()
        assert line.endswith("\\xff: expected a text in UTF-8")


@pytest.mark.parametrize("place", ["figures", "figures/a", "figures/a/b"])
@pytest.mark.parametrize("in_the_way", ["a file", "a link to nothing"])
def test_what_is_in_the_way_of_a_file_is_named(
    place: str, in_the_way: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocking = tmp_path / "figures"
    blocking.touch() if in_the_way == "a file" else blocking.symlink_to("nowhere")

    def work() -> None:
        write_atomic(tmp_path / place / "x.png", b"")

    assert _status(work) == 2
    assert capsys.readouterr().err == f"{blocking}: not a directory; remove it, or choose another run_dir\n"


def test_a_directory_that_is_made_twice_is_a_fault_of_the_program(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        _status(tmp_path.mkdir)
