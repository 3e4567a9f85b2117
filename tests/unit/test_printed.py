"""What is kept of what an agent prints and raises, and what it takes in a file."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agt_tournament.sandbox.printed import OverBudgetError, Printed, cut, printable, stored_bytes


@given(st.lists(st.binary(max_size=3000), max_size=8))
def test_whatever_is_printed_takes_no_more_than_its_budget(chunks: list[bytes]) -> None:
    printed = Printed(1000, 10**6)
    for chunk in chunks:
        printed.add(chunk)
    text = printed.take()
    kept, _, note = text.rpartition("\n[")
    if not note.endswith("further bytes were dropped]"):
        kept = text
    assert len(json.dumps(kept, ensure_ascii=False).encode()) - 2 <= 1000
    assert printed.take() == ""


@given(st.text(), st.integers(0, 40))
def test_a_cut_is_the_longest_beginning_that_fits(text: str, most: int) -> None:
    text = printable(text)
    kept = cut(text, most)
    assert text.startswith(kept)
    assert stored_bytes(kept) <= most
    if kept != text:
        assert stored_bytes(text[: len(kept) + 1]) > most


@given(st.text())
def test_cleaned_text_does_not_grow(text: str) -> None:
    assert len(printable(text).encode(errors="replace")) <= max(len(text.encode(errors="replace")), len(text))
    assert not set("\x1b\x00\r\u202e\N{REPLACEMENT CHARACTER}") & set(printable(text))


def test_what_was_dropped_is_counted_in_bytes() -> None:
    printed = Printed(8, 100)
    printed.add(b"abc\xff\x1b" + b"d" * 20)
    assert printed.take() == "abc??ddd\n[17 further bytes were dropped]"


def test_the_budget_is_that_of_a_game() -> None:
    printed = Printed(8, 100)
    printed.add(b"x" * 100)
    printed.check()
    printed.begin_game()
    printed.add(b"x" * 100)
    printed.check()
    printed.add(b"x")
    with pytest.raises(OverBudgetError, match="were printed in a game") as over:
        printed.check()
    assert over.value.error == "output"
    printed.take()
    printed.begin_game()
    printed.check()
