"""analytics/competition_report.html: the page for course staff, who see every team's numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from agt_tournament.game import in_words, when
from agt_tournament.report import figures
from agt_tournament.report.measures import (
    Economy,
    Load,
    conduct,
    economy_of,
    known,
    mean_estimate,
    mean_estimates,
    records,
    shown,
    stage_title,
)
from agt_tournament.report.results import Results, score_word
from agt_tournament.tournament.registration import Team
from agt_tournament.tournament.standings import StageData, ratings
from generative_auctions.files import write_atomic
from generative_auctions.page import drawings, render
from generative_auctions.plotting import Estimate, save_figure
from generative_auctions.text import count, shortened, sizes, words

PAGE = Path("analytics") / "competition_report.html"

_MOST_RIVALS = 20  # of the pairwise table of an arena
_OPEN_ARENAS = 3  # of a stage that are unfolded at once
_MOST_ARENAS = 12  # of a stage that are listed without another fold
_LETTERS = 160  # of an error's message
_OF_CONDUCT = ["team_id", "asked", "seconds", "cpu_seconds", "note"]  # columns of the rounds
_SANDBOX = {
    "bubblewrap": "bubblewrap, each agent in namespaces of its own",
    "landlock": "landlock, each agent restricted by the kernel",
    "none": "none, agents ran as ordinary processes",
}


def generate_analytics_report(results: Results) -> Path:
    """Write ``analytics/competition_report.html`` and ``analytics/figures/``.

    Returns:
        The path of the page.
    """
    stages, teams, page = results.stages, results.teams, results.run_dir / PAGE
    arenas = [arena for stage in reversed(stages) for arena in _arenas(stage, results.boards[stage.number])]
    drawn = drawings(_write_figures(page.parent / "figures", arenas))
    rounds = pd.concat([stage.rounds[_OF_CONDUCT] for stage in stages], ignore_index=True)
    failures = pd.concat([stage.failures for stage in stages], ignore_index=True)
    load = Load.of(stages)
    html = render(
        "agt_tournament.report",
        "competition_report.html.j2",
        name=results.title,
        score=results.score,
        set_aside=results.set_aside,
        facts=_facts(results, teams) | ({"machine": str(load)} if load.known else {}),
        sections=[_section(stage, arenas) for stage in reversed(stages)],
        open_arenas=_OPEN_ARENAS,
        most_arenas=_MOST_ARENAS,
        champion=records(results.boards[2].head(1))[0] if 2 in results.boards else None,
        final=arenas[0].content if len(stages[-1].games) == 1 else None,
        errors=_errors(failures, teams),
        n_errors=len(failures),
        conduct=_conduct(rounds, teams),
        limit=results.rules.get("bid_timeout_seconds"),
        figures=drawn,
        n_teams=sum(not team.filler for team in teams.values()),
    )
    write_atomic(page, html)
    return page


# --- arenas ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Arena:
    """An arena's numbers, and what the page shows of them."""

    stage: int
    key: str
    """The key of its figures, such as ``stage1_arena_1``."""
    place: str
    score: str
    """The quantity by which its games are ranked."""
    economy: Economy
    efficiency: Estimate
    revenue: Estimate
    board: pd.DataFrame
    labels: Sequence[str]
    """The labels of teams in figures, in the order of `board`."""
    content: dict[str, Any]


def _arenas(stage: StageData, board: pd.DataFrame) -> list[_Arena]:
    """Return the arenas of a stage, in order."""
    boards = dict(iter(board.groupby("arena_id", sort=False)))
    return [_arena(stage, arena_id, boards[arena_id]) for arena_id in stage.games]


def _arena(stage: StageData, arena_id: str, board: pd.DataFrame) -> _Arena:
    economy = economy_of(stage.games[arena_id])
    order, key = list(board["team_id"]), f"stage{stage.number}_{arena_id}"
    name, title = words(arena_id), stage_title(stage.number).lower()
    efficiency, revenue = mean_estimate(economy.efficiency), mean_estimate(economy.revenue)
    content = {
        "key": key,
        "arena_id": arena_id,
        "label": name,
        "games": len(economy.prices),
        "rows": records(board),
        "efficiency": shown(efficiency),
        "revenue": shown(revenue),
        "price": shown(mean_estimate(economy.prices.mean(axis=1))),
        "pairs": _pairs(stage.scores(arena_id), economy.seats, order[:_MOST_RIVALS]),
        "pairs_left": max(len(order) - _MOST_RIVALS, 0),
    }
    return _Arena(
        stage=stage.number,
        key=key,
        place=title if stage.number == 2 else f"{title}, {name}",
        score=score_word(stage.weights),
        economy=economy,
        efficiency=efficiency,
        revenue=revenue,
        board=board,
        labels=_labels([stage.teams[team] for team in order]),
        content=content,
    )


def _labels(teams: Sequence[Team]) -> list[str]:
    """Return a label for each team, with its id where two are alike."""
    labels = [figures.team_label(team) for team in teams]
    return [
        f"{label} ({team.team_id})" if labels.count(label) > 1 else label
        for label, team in zip(labels, teams, strict=True)
    ]


def _pairs(scores: Any, seats: Sequence[str], order: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each team of `order`: how often it ended above each of them, None beside itself."""
    columns = [seats.index(team) for team in order]
    table = ratings.pairwise(scores[:, columns], order)
    cells = {(row["team_id"], row["rival_id"]): row for row in table.to_dict("records")}
    return [{"team_id": team, "cells": [cells.get((team, rival)) for rival in order]} for team in order]


def _section(stage: StageData, arenas: Sequence[_Arena]) -> dict[str, Any]:
    """Return what the page shows of a stage."""
    own = [arena.content for arena in arenas if arena.stage == stage.number]
    games = sizes([arena["games"] for arena in own], "game")
    return {
        "number": stage.number,
        "title": stage_title(stage.number),
        "arenas": own,
        "games": f"{games} in each of {count(len(own), 'arena')}" if len(own) > 1 else games,
    }


# --- figures ---------------------------------------------------------------------------------------------


def _write_figures(folder: Path, arenas: Sequence[_Arena]) -> dict[str, dict[str, Path]]:
    """Draw the figures of each arena, and one over all arenas; return paths by name and suffix."""
    written = {}
    for arena in arenas:
        for kind, figure in _figures_of(arena).items():
            written[f"{kind}_{arena.key}"] = save_figure(figure, folder, f"{kind}_{arena.key}")
    if len(arenas) > 1:
        figure = figures.efficiency_and_revenue(
            [arena.place for arena in arenas],
            [arena.efficiency for arena in arenas],
            [arena.revenue for arena in arenas],
            [arena.content["games"] for arena in arenas],
        )
        written["efficiency_and_revenue"] = save_figure(figure, folder, "efficiency_and_revenue")
    return written


def _figures_of(arena: _Arena) -> dict[str, Any]:
    economy, games = arena.economy, arena.content["games"]
    order = [economy.seats.index(team) for team in arena.board["team_id"]]
    means = [Estimate.of(row, mean="mean_score") for row in arena.content["rows"]]
    lines = {
        label: mean_estimates(economy.budgets[:, :, seat]) for label, seat in zip(arena.labels, order, strict=True)
    }
    return {
        "utilities": figures.utilities(arena.labels, means, games, arena.place, arena.score),
        "prices": figures.prices(economy.prices, mean_estimates(economy.prices), arena.place),
        "budgets": figures.budgets(lines, games, arena.place),
    }


# --- agents ----------------------------------------------------------------------------------------------


def _errors(failures: pd.DataFrame, teams: Mapping[str, Team]) -> list[dict[str, Any]]:
    """Return a row for each team and class of error: count, first place and text."""
    rows, places = [], {team_id: place for place, team_id in enumerate(teams)}
    kinds = [in_words(*kind) for kind in zip(failures["error"], failures["text"], strict=True)]
    grouped = failures.assign(error=kinds).groupby(["team_id", "error"], sort=False)
    for (team_id, error), own in sorted(grouped, key=lambda group: (places[group[0][0]], group[0][1])):
        first = own.iloc[0]
        place = f"stage {first['stage']}, {first['arena_id']}, game {first['game']}"
        rows.append(
            {
                "team": teams[team_id],
                "error": error,
                "count": len(own),
                "kinds": own["text"].nunique(),
                "where": first["where"] or "bidding_function",
                "first": f"{place}, {when(known(first['round']))}",
                "says": gist(first["text"]),
            }
        )
    return rows


def gist(text: str) -> str:
    """Return the last line of a text: of a traceback it names the error."""
    lines = text.strip().splitlines()
    return shortened(lines[-1].strip() if lines else "", _LETTERS)


def _conduct(rounds: pd.DataFrame, teams: Mapping[str, Team]) -> list[dict[str, Any]]:
    """Return a row for each team, the slowest bid first."""
    table = conduct(rounds)
    rows = [{"team": teams[team_id], **row} for team_id, row in zip(table.index, records(table), strict=True)]
    return sorted(rows, key=lambda row: (-(row["max_seconds"] or 0), row["team"].team_id))


# --- the head of the page --------------------------------------------------------------------------------


def _facts(results: Results, teams: Mapping[str, Team]) -> dict[str, str]:
    """Return label and value of each fact, as far as the settings tell."""
    rules, fillers = results.rules, sum(team.filler for team in teams.values())
    facts = {"competition": str(rules["name"])} if rules else {}
    facts["teams"] = f"{len(teams) - fillers:,}" + (f" and {count(fillers, 'filler')}" if fillers else "")
    if results.set_aside:
        facts["set aside"] = f"{len(results.set_aside):,}"
    for stage in results.stages:
        games = sizes([len(games) for games in stage.games.values()], "game")
        facts[f"stage {stage.number}"] = f"{count(len(stage.games), 'arena')}, {games} each"
    if rules:
        facts["rules"] = (
            f"{rules['auction_rounds']} of {rules['total_items']} items sold, budget {rules['initial_budget']:g}, "
            f"valuations drawn anew each {rules['valuations_per']}"
        )
        facts["limits"] = (
            f"{rules['bid_timeout_seconds']:g} s of CPU time a bid, {rules['game_timeout_seconds']:g} s a game, "
            f"{rules['memory_limit_mb']} MB"
        )
    if "sandbox" in results.settings:
        sandbox = str(results.settings["sandbox"]["name"])
        facts["sandbox"] = _SANDBOX.get(sandbox, sandbox)
    return facts
