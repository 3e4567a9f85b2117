"""The page for the class: places, points if they are wanted, and nothing from which bids or valuations follow."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from agt_tournament.report import (
    Results,
    generate_analytics_report,
    staff,
    standings_page,
    write_standings,
    write_team_folders,
)
from agt_tournament.tournament.registration.teams import SetAside, Team
from agt_tournament.tournament.standings.stage_data import StageData
from tests.unit.test_tournament_report import EVIL, Page, boards_of, competition, private_numbers, written

LATE = SetAside(Team("late", f"{EVIL} & co", ""), "SyntaxError: expected ':'")


@pytest.fixture(scope="module")
def stages() -> list[StageData]:
    return competition()


def page(run_dir: Path, stages: list[StageData], **rules: Any) -> str:
    write_standings(Results(run_dir, stages, boards_of(stages), {"tournament": rules}, [LATE]))
    found = standings_page(run_dir)
    assert found is not None
    return found.read_text()


def test_it_shows_every_team_in_its_place_and_the_headline(stages: list[StageData], tmp_path: Path) -> None:
    html = page(tmp_path, stages, title=f"Spring {EVIL}")
    text = Page(html).text
    assert f"Spring {EVIL}" in text
    for number, board in boards_of(stages).items():
        own = html.split(f'id="stage-{number}"')[1].split("</section>")[0]
        rows = re.findall(r'class="place">([^<]*)</td><td class="name"><bdi>([^<]*)</bdi>', own)
        rows = [(place, unescape(name)) for place, name in rows]
        places = [("–" if row["filler"] else str(row["rank"]), row["team_name"]) for row in board.to_dict("records")]
        assert rows == places
    assert "A filler is an agent of the staff" in text
    assert "script" not in Page(html).tags
    assert not re.search(r"(?:src|href)=\"(?!#)|url\(", html), "nothing is fetched"


def test_set_aside_teams_are_named_without_the_reason(stages: list[StageData], tmp_path: Path) -> None:
    text = Page(page(tmp_path, stages)).text
    assert f"{EVIL} & co late" in text
    assert "SyntaxError" not in text


def test_points_are_whole_and_there_only_if_they_are_wanted(stages: list[StageData], tmp_path: Path) -> None:
    totals = [row["total_score"] for board in boards_of(stages).values() for row in board.to_dict("records")]
    shown = {f"{total:,.0f}".replace("-", "−") for total in totals}
    assert all(f">{points}</td>" in page(tmp_path, stages, public="points") for points in shown)
    for public in (None, "places"):
        assert not any(f">{points}</td>" in page(tmp_path, stages, public=public) for points in shown)


@pytest.mark.parametrize("public", ["places", "points"])
def test_no_number_is_on_it_that_is_private_of_a_team(stages: list[StageData], tmp_path: Path, public: str) -> None:
    text = Page(page(tmp_path, stages, public=public)).text.partition("Standings")[2]
    assert not re.search(r"\d\.\d", text)
    if public == "places":
        numbers = private_numbers(stages, boards_of(stages), "ann")
        assert not [number for number in numbers if any(form in text for form in written(number))]


def test_none_leaves_no_page(stages: list[StageData], tmp_path: Path) -> None:
    page(tmp_path, stages)
    write_standings(Results(tmp_path, stages, boards_of(stages), {"tournament": {"public": "none"}}))
    assert standings_page(tmp_path) is None


def test_the_staff_see_why_and_the_team_gets_the_reason(
    stages: list[StageData], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff, "_write_figures", lambda folder, arenas: {})
    text = Page(generate_analytics_report(Results(tmp_path, stages, boards_of(stages), {}, [LATE])).read_text()).text
    assert f"{EVIL} & co" in text
    assert LATE.reason in text
    write_team_folders(Results(tmp_path, stages, boards_of(stages), {}, [LATE]))
    assert LATE.reason in (tmp_path / "teams" / "late" / "set_aside.txt").read_text()
