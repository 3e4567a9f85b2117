"""What the command line prints: standings, a game, who failed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from agt_tournament.auction_engine import in_words
from experiments.terminal import plain_console

if TYPE_CHECKING:
    import pandas as pd

    from agt_tournament.agents.agent_process import Limits
    from agt_tournament.config import TournamentConfig
    from agt_tournament.registration import SetAside
    from agt_tournament.report import Load
    from agt_tournament.submissions import Ignored

_OUT = plain_console(highlight=False)
_ERR = plain_console(stderr=True, highlight=False)
_MOST_IGNORED = 3  # files of a team
_LAYOUTS = ((64, True), (16, True), (8, True), (0, True), (16, False), (0, False))
"""Of the rounds of a game: letters of the winner's name, and whether all bids are shown. The first to fit is used."""


def leaderboard(stage: int, board: pd.DataFrame) -> None:
    """The standings of a stage, arena by arena."""
    title = "Stage 1: qualification" if stage == 1 else "Stage 2: championship"
    columns = ("", "team", "total", "mean", "95 %", "first", "rating", "errors")
    for arena_id, rows in board.groupby("arena_id", sort=False):
        table = _table(f"{title}, {arena_id}" if stage == 1 else title, *columns)
        for row in rows.to_dict("records"):
            table.add_row(
                "–" if row["filler"] else str(row["rank"]),
                Text.assemble(row["team_name"], (" (filler)" if row["filler"] else "", "dim")),
                f"{row['total_score']:.2f}",
                f"{row['mean_score']:.2f}",
                _interval(row["ci_low"], row["ci_high"]),
                _percent(row["first_chance"]),
                f"{row['rating_mu']:.1f}±{row['rating_sigma']:.1f}",
                str(row["errors"] or "–"),
                style="bold" if row["rank"] == 1 else "",
            )
        _OUT.print(table)
    _OUT.print("mean: of a game, with its bootstrap interval; first: how often it has the", style="dim")
    _OUT.print("highest total if games are drawn again with replacement; rating: OpenSkill\n", style="dim")


def game(content: Mapping[str, Any], path: Path) -> None:
    """The rounds of a game, its result, and where it is stored."""
    unlimited = _OUT.options.update(width=10_000)
    for layout in _LAYOUTS:
        rounds = _rounds(content, *layout)
        if _OUT.measure(rounds, options=unlimited).maximum <= _OUT.width:
            break
    _OUT.print(rounds)
    results = _table("Result", "", "team", "utility", "best item", "spent", "items")
    numbers = _numbers(content)
    for team, result in sorted(content["team_results"].items(), key=lambda item: -item[1]["utility"]):
        money = (f"{result[name]:.2f}" for name in ("utility", "max_single_item_utility", "budget_spent"))
        results.add_row(numbers[team], team, *money, str(len(result["items_won"])))
    _OUT.print(results)
    _OUT.print(f"game     {path}", soft_wrap=True)
    for failure in content["failures"]:
        _ERR.print(f"{failure['team_id']}: {_at(failure)}: {failure['text']}", soft_wrap=True)


def _rounds(content: Mapping[str, Any], letters: int, bids: bool) -> Table:
    """The rounds of a game; teams are numbered as in its result, and their names cut down to `letters`."""
    numbers = _numbers(content)
    title = (
        "Rounds: winner, price, and the bid of each team"
        if bids
        else "Rounds: winner and price; all bids are in the file below"
    )
    table = _table(title, "round", "item", "winner", "price", *(numbers.values() if bids else ()))
    for entry in content["auction_log"]:
        winner = entry["winner"]
        named = f"{numbers[winner]} {_cut(winner, letters)}".strip() if winner else "–"
        shown = [_bid(entry, team) for team in numbers] if bids else []
        table.add_row(str(entry["round"]), entry["item_id"], named, f"{entry['price']:.2f}", *shown)
    return table


def _numbers(content: Mapping[str, Any]) -> dict[str, str]:
    """What each team of a game is called in a table."""
    return {team: str(number) for number, team in enumerate(content["team_results"], start=1)}


def _bid(entry: Mapping[str, Any], team: str) -> str | Text:
    """A team's bid in a round, the error that cost it, or – if the team was not asked any more."""
    bid, error = f"{entry['all_bids'][team]:.2f}", entry["errors"].get(team)
    if team == entry["winner"]:
        return Text(bid, style="bold")
    return "–" if error and entry["seconds"][team] is None else error or bid


def _cut(name: str, letters: int) -> str:
    return name if len(name) <= letters else f"{name[: letters - 1]}…" if letters else ""


def failures(table: pd.DataFrame, folder: Path) -> None:
    """One line for each team that failed, with the file that tells more."""
    if table.empty:
        return
    teams = table.groupby("team_id", sort=True)
    print(f"{len(teams)} of the agents failed; each failed bid counted 0:", file=sys.stderr)
    for team, errors in teams:
        kinds = [in_words(*kind) for kind in zip(errors["error"], errors["text"], strict=True)]
        counts = ", ".join(f"{count} × {kind}" for kind, count in Counter(kinds).most_common())
        path = folder / str(team) / "errors.txt"
        print(f"  {team}: {counts} ({path if path.exists() else 'a filler'})", file=sys.stderr)


def busy(load: Load) -> None:
    """A warning: agents were late because others had the CPU."""
    print(f"the machine was {load}; docs/staff.md says what to do", file=sys.stderr)


def where(page: Path, run_dir: Path, standings: Path | None) -> None:
    """Where the results are; `standings` is the page for the class, if there is one."""
    public = f"\npublic   {standings}" if standings else ""
    _OUT.print(f"report   {page}{public}\ntables   {run_dir / 'results.xlsx'}", soft_wrap=True)


def sandbox(tier: str) -> None:
    """Behind which walls agents run now."""
    print(f"sandbox: {tier}", file=sys.stderr)


def longest_game(agents: int, limits: Limits) -> None:
    """How long a game can take at most, by what its agents may use."""
    cpu, wall = agents * limits.game_timeout_seconds, agents * limits.game_wall_seconds
    loading = agents * limits.load_timeout_seconds
    print(
        f"a game of {agents} ends within {cpu:g} s of CPU time, at worst {wall:g} s; loading all agents adds at most "
        f"{loading:g} s to the first game of a block",
        file=sys.stderr,
    )


def ignored(team_id: str, files: Sequence[Ignored]) -> None:
    """A warning: files of a team's submission that do not play, in one line."""
    if files:
        named = "; ".join(f"{file.name}: {file.reason}" for file in files[:_MOST_IGNORED])
        more = f"; and {len(files) - _MOST_IGNORED} more" if len(files) > _MOST_IGNORED else ""
        print(f"{team_id}: ignored in its submission: {named}{more}", file=sys.stderr)


@contextmanager
def trying(submissions: int) -> Iterator[Callable[[str], None]]:
    """Say that submissions are loaded, and on a terminal which: what is yielded is told each team id."""
    print(f"loading {_many(submissions, 'submission')} once, to see which would start", file=sys.stderr)
    numbers = iter(range(1, submissions + 1))
    with _ERR.status("") as status:
        yield lambda team_id: status.update(Text(f"{next(numbers)} of {submissions}: {team_id}", style="dim"))


def set_aside(teams: Sequence[SetAside]) -> None:
    """One line for each team that does not play."""
    if teams:
        print(f"{_many(len(teams), 'team')} set aside, whose submissions do not load:", file=sys.stderr)
    for aside in teams:
        print(f"  {aside.team.team_id}: {aside.gist}", file=sys.stderr)


def decided_before(teams: Sequence[SetAside]) -> None:
    """Say of those set aside that what they hand in later changes nothing."""
    if teams:
        print("decided when this competition began: another run_dir plays with the submissions of now", file=sys.stderr)


def lonely_final(teams: int, rules: TournamentConfig) -> None:
    """A warning before the first game: the final will be of one team."""
    print(
        f"{_many(teams, 'team')} in one arena of {rules.arena_size}: stage 2 will be its first team alone, which wins "
        "every item it bids for at the price 0. stage=1 plays without a final; a smaller tournament.arena_size makes "
        "several arenas",
        file=sys.stderr,
    )


def guessable(seed: int) -> None:
    """A warning: valuations follow from the seed."""
    print(
        f"seed = {seed} can be guessed by an agent, and its rivals' valuations with it. For a competition that counts: "
        "seed=random, in a new run_dir",
        file=sys.stderr,
    )


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _at(failure: Mapping[str, Any]) -> str:
    round_ = failure["round"]
    when = "before the first round" if round_ == 0 else "after the last round" if round_ is None else f"round {round_}"
    kind = in_words(failure["error"], failure["text"])
    return kind if kind != failure["error"] else f"{kind} in {failure['where'] or 'bidding_function'}, {when}"


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", header_style="dim", box=box.SIMPLE, pad_edge=False
    )
    for column in columns:
        text = column in {"team", "item", "winner"}
        table.add_column(column, justify="left" if text else "right", no_wrap=column != "team")
    return table


def _interval(low: float, high: float) -> str:
    return "–" if isnan(low) else f"{low:.1f} to {high:.1f}"


def _percent(share: float) -> str:
    return "–" if isnan(share) else f"{100 * share:.0f} %"
