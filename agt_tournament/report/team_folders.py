"""teams/<team_id>/: what a team is given of a competition, without anything that reveals a rival's bids or values.

`own_parts` cuts out of a stage what is the team's own, or public; everything here is made of that alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from agt_tournament.game import TeamGameResult, in_words, when
from agt_tournament.game.game_files import game_files, place_of_game, read_output
from agt_tournament.report.measures import conduct, no_formula, records, stage_title, used_seconds
from agt_tournament.report.results import Results, score_word
from agt_tournament.tournament.registration import Team
from agt_tournament.tournament.standings import StageData
from agt_tournament.tournament.standings.results_manager import write_csv
from generative_auctions.files import write_atomic
from generative_auctions.page import render

SHOWN_GAMES = 10
"""The most games of a stage that the page shows round by round; rounds.csv holds all."""

COLUMNS = (
    *("stage", "arena_id", "game", "round", "item_id", "valuation", "asked", "cap", "bid"),
    *("winner", "price", "seconds", "cpu_seconds", "error", "error_text", "note"),
)
"""The columns of rounds.csv. Winner and price are public; the rest belongs to the team."""

_REASON = """Your submission could not be read or loaded, so your team did not play:

{}

"python -m agt_tournament action=validate agent=FOLDER" says the same, and more, of a submission before it is handed in.
"""

_MOST_ERRORS = 10  # kinds of errors on the page
_MOST_PLACES = 6  # of each of them
_MOST_OUTPUT = 400_000  # letters of output.txt, for a stage
_MOST_TEXT = 100  # letters of an error in rounds.csv
_MOST_BARS = 60
_CURVE = (300, 90)  # width and height of a small curve, in pixels


def write_team_folders(results: Results) -> None:
    """Write a folder for each team, fillers left out.

    A folder has report.html; rounds.csv with `COLUMNS`; errors.txt, if there were errors; output.txt, if the agent
    printed. The folder of a team that was set aside has set_aside.txt with the reason.
    """
    folders, stages, teams = results.run_dir / "teams", results.stages, results.teams
    for aside in results.set_aside:
        write_atomic(folders / aside.team.team_id / "set_aside.txt", _REASON.format(aside.reason).encode())
    parts: dict[str, list[Own]] = defaultdict(list)
    for stage in stages:
        for team_id, own in own_parts(stage, results.boards[stage.number]):
            parts[team_id].append(own)
    printed = [_printed(results.run_dir, stage) for stage in stages]
    for team_id, own_stages in parts.items():
        text = "".join(texts.get(team_id, "") for texts in printed)
        _write_folder(folders / team_id, teams[team_id], own_stages, text, results)


# --- what is a team's own --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Own:
    """What a team may know of a stage."""

    stage: int
    arena_id: str
    seats: tuple[str, ...]
    """The ids of the teams in its arena."""
    score: str
    """The quantity by which its games are ranked."""
    standing: Mapping[str, Any]
    """Its row of the leaderboard, as far as its own games decide it, and its `rank` among `ranked` teams."""
    results: Sequence[TeamGameResult]
    """Its result of each game."""
    rounds: pd.DataFrame
    """Its rows of `StageData.rounds`: `COLUMNS` and team_id."""
    failures: pd.DataFrame
    """Its rows of `StageData.failures`."""


_STANDING = (
    *("rank", "ranked", "advances", "total_score", "mean_score", "ci_low", "ci_high"),
    *("items_won", "valuation_sum", "errors"),
)
"""The columns of a leaderboard that a team may see. The others depend on its rivals' utilities."""


def own_parts(stage: StageData, board: pd.DataFrame) -> Iterator[tuple[str, Own]]:
    """Yield each team's own part of `stage`, fillers left out."""
    rounds = dict(iter(stage.rounds.groupby("team_id", sort=False)))
    failures = dict(iter(stage.failures.groupby("team_id", sort=False)))
    ranked = board[~board["filler"]]
    sizes = ranked["arena_id"].map(ranked["arena_id"].value_counts())
    for row in records(ranked.assign(ranked=sizes)):
        team_id, arena_id = row["team_id"], row["arena_id"]
        yield (
            team_id,
            Own(
                stage=stage.number,
                arena_id=arena_id,
                seats=tuple(stage.seats(arena_id)),
                score=score_word(stage.weights),
                standing={name: row[name] for name in _STANDING},
                results=[game.team_results[team_id] for game in stage.games[arena_id]],
                rounds=rounds[team_id],
                failures=failures.get(team_id, stage.failures.head(0)),
            ),
        )


def _printed(run_dir: Path, stage: StageData) -> dict[str, str]:
    """Return what each team's agent printed in a stage, each game under a heading, cut if it is too long."""
    texts: dict[str, str] = defaultdict(str)
    for arena_id, games in stage.games.items():
        for number in range(1, len(games) + 1):
            _, path = game_files(run_dir / place_of_game(stage.number, arena_id, number))
            for team_id, text in read_output(path).items():
                room = _MOST_OUTPUT - len(texts[team_id])
                if room > 0:
                    heading = f"--- stage {stage.number}, {arena_id}, game {number} ---\n"
                    texts[team_id] += f"{heading}{text[:room].rstrip()}\n\n"
                    if len(text) > room or len(texts[team_id]) >= _MOST_OUTPUT:
                        texts[team_id] += f"[what was printed after this in stage {stage.number} is left out]\n"
    return texts


# --- files -----------------------------------------------------------------------------------------------


def _write_folder(folder: Path, team: Team, stages: Sequence[Own], printed: str, results: Results) -> None:
    rounds = pd.concat([own.rounds[list(COLUMNS)] for own in stages], ignore_index=True)
    errors = _errors(stages)
    texts = rounds["error_text"].str.slice(0, _MOST_TEXT).map(no_formula)  # whole in errors.txt, each once
    write_csv(rounds.assign(error_text=texts), folder / "rounds.csv")
    _write_or_remove(folder / "errors.txt", "\n\n".join(_described(error) for error in errors))
    _write_or_remove(folder / "output.txt", printed)
    html = render(
        "agt_tournament.report",
        "team.html.j2",
        name=results.title,
        score=stages[0].score,
        team=team,
        stages=[_section(own, team.team_id) for own in reversed(stages)],
        errors=[{**error, "places": _few(error["places"])} for error in errors[:_MOST_ERRORS]],
        errors_left=max(len(errors) - _MOST_ERRORS, 0),
        timing=_timing(stages),
        limit=results.rules.get("bid_timeout_seconds"),
        printed=bool(printed),
    )
    write_atomic(folder / "report.html", html)


def _write_or_remove(path: Path, text: str) -> None:
    """Write `text` to `path`, or remove the file if there is nothing to say."""
    if text:
        write_atomic(path, f"{text.rstrip()}\n".encode(errors="replace"))
    else:
        path.unlink(missing_ok=True)


# --- errors ----------------------------------------------------------------------------------------------


def _errors(stages: Sequence[Own]) -> list[dict[str, Any]]:
    """Group errors by class, place in the agent and text, in the order of the first, with the places of each."""
    failures = pd.concat([own.failures for own in stages], ignore_index=True)
    failures["where"] = [where or "bidding_function" for where in failures["where"]]
    return [
        {
            "error": in_words(error, text),
            "where": where,
            "text": text,
            "count": len(same),
            "places": [
                f"stage {stage}, {arena_id}, game {game}: {_whens(rounds)}"
                for (stage, arena_id, game), rounds in same.groupby(["stage", "arena_id", "game"], sort=False)["round"]
            ],
        }
        for (error, where, text), same in failures.groupby(["error", "where", "text"], sort=False)
    ]


def _whens(rounds: pd.Series) -> str:
    """Say where in a game errors were: ``before the first round, rounds 3, 5 to 15``."""
    in_order = [int(round_) for round_ in rounds.dropna()]
    numbers = [number for number in in_order if number]
    # Neighbouring rounds have the same distance to their places in the list.
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    spans = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs)
    before = [when(0)] * (len(in_order) - len(numbers))
    after = [when(None)] * (len(rounds) - len(in_order))
    return ", ".join([*before, *([f"round{'s' if len(numbers) > 1 else ''} {spans}"] if runs else []), *after])


def _described(error: Mapping[str, Any]) -> str:
    """Describe an error for errors.txt."""
    times = "once" if error["count"] == 1 else f"{error['count']:,} times"
    places = "\n".join(f"  {place}" for place in error["places"])
    return f"{error['error']} in {error['where']}, {times}:\n{places}\n\n{error['text']}"


def _few(places: Sequence[str]) -> list[str]:
    """Return the first of `places`, and how many more there are."""
    more = len(places) - _MOST_PLACES
    return [*places[:_MOST_PLACES], *([f"and in {more:,} more games"] if more > 0 else [])]


# --- the page --------------------------------------------------------------------------------------------


def _section(own: Own, team_id: str) -> dict[str, Any]:
    """Return what the page shows of a stage."""
    utilities = [result.utility for result in own.results]
    first = own.rounds[own.rounds["game"] <= SHOWN_GAMES]
    games = [_game(own.results[number - 1], rows, team_id) for number, rows in first.groupby("game")]
    bars, per_bar = _bars(utilities)
    return {
        "number": own.stage,
        "title": stage_title(own.stage),
        "arena_id": own.arena_id,
        "rivals": [seat for seat in own.seats if seat != team_id],
        "standing": own.standing,
        "games": len(own.results),
        "lowest": min(utilities),
        "median": float(np.median(utilities)),
        "highest": max(utilities),
        "spent": float(np.mean([result.budget_spent for result in own.results])),
        "capped": int(own.rounds["note"].notna().sum()),
        "lost": int(own.rounds["asked"].isna().sum()),
        "bars": bars,
        "per_bar": per_bar,
        "shown": games,
    }


def _game(result: TeamGameResult, rows: pd.DataFrame, team_id: str) -> dict[str, Any]:
    """Return a game round by round; `rows` are its rounds in order."""
    rounds = [{**row, "won": row["winner"] == team_id} for row in records(rows.assign(used=used_seconds(rows)))]
    budget = [rows["cap"].iloc[0], *(row["cap"] - row["price"] * row["won"] for row in rounds)]
    return {
        "number": int(rows["game"].iloc[0]),
        "utility": result.utility,
        "spent": result.budget_spent,
        "won": [row for row in rounds if row["won"]],
        "rounds": rounds,
        "budget": budget,
        "curve": steps(budget),
    }


def _timing(stages: Sequence[Own]) -> dict[str, Any]:
    """Return how much CPU time the agent's answers took, and where the slowest was, if there were any."""
    rounds = pd.concat([own.rounds for own in stages], ignore_index=True)
    timing, seconds = records(conduct(rounds))[0], used_seconds(rounds)
    if not seconds.notna().any():
        return timing
    slowest = rounds.loc[seconds.idxmax()]
    return {**timing, "where": f"stage {slowest['stage']}, game {slowest['game']}, round {slowest['round']}"}


def steps(budget: Sequence[float]) -> str:
    """Return the points of a falling staircase in a box of `_CURVE`: `budget` before the first round and after each."""
    width, height = _CURVE
    most, rounds = max(max(budget), 1e-9), len(budget) - 1
    down = [height * (1 - left / most) for left in budget]
    across = [width * place / rounds for place in range(rounds + 1)]
    points = [(0.0, down[0]), *((across[i], down[at]) for i in range(1, rounds + 1) for at in (i - 1, i))]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _bars(utilities: Sequence[float]) -> tuple[list[dict[str, float]], int]:
    """Return utility by game as bars in a box of `_CURVE`, and how many games each bar is the mean of."""
    width, height = _CURVE
    per_bar = -(-len(utilities) // _MOST_BARS)
    means = [float(np.mean(utilities[first : first + per_bar])) for first in range(0, len(utilities), per_bar)]
    top, bottom = max(0.0, *means), min(0.0, *means)
    scale, slot = height / ((top - bottom) or 1.0), width / len(means)
    return [
        {
            "x": round(slot * (i + 0.1), 1),
            "width": round(slot * 0.8, 1),
            "y": round((top - max(mean, 0.0)) * scale, 1),
            "height": round(abs(mean) * scale, 1),
        }
        for i, mean in enumerate(means)
    ], per_bar
