"""What a command says on standard error about teams, submissions and walls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.text import Text

from agt_tournament.config import TournamentConfig
from agt_tournament.sandbox.budget import Limits
from agt_tournament.tournament.registration import SetAside
from agt_tournament.tournament.registration.submissions import Ignored
from generative_auctions.terminal import plain_console
from generative_auctions.text import count

_ERR = plain_console(stderr=True, highlight=False)
_MOST_IGNORED = 3  # files of a team


def sandbox(tier: str) -> None:
    """Print behind which walls agents run."""
    print(f"sandbox: {tier}", file=sys.stderr)


def longest_game(agents: int, limits: Limits) -> None:
    """Print how long a game can take at most, by what its agents may use."""
    cpu, wall = agents * limits.game_timeout_seconds, agents * limits.game_wall_seconds
    loading = agents * limits.load_timeout_seconds
    print(
        f"a game of {agents} ends within {cpu:g} s of CPU time, at worst {wall:g} s; loading all agents adds at most "
        f"{loading:g} s to the first game of a block",
        file=sys.stderr,
    )


def ignored(team_id: str, files: Sequence[Ignored]) -> None:
    """Warn of files of a team's submission that do not play, in one line."""
    if files:
        named = "; ".join(f"{file.name}: {file.reason}" for file in files[:_MOST_IGNORED])
        more = f"; and {len(files) - _MOST_IGNORED} more" if len(files) > _MOST_IGNORED else ""
        print(f"{team_id}: ignored in its submission: {named}{more}", file=sys.stderr)


@contextmanager
def trying(submissions: int) -> Iterator[Callable[[str], None]]:
    """Say that submissions are loaded, and on a terminal which: what is yielded is told each team id."""
    print(f"loading {count(submissions, 'submission')} once, to see which would start", file=sys.stderr)
    numbers = iter(range(1, submissions + 1))
    with _ERR.status("") as status:
        yield lambda team_id: status.update(Text(f"{next(numbers)} of {submissions}: {team_id}", style="dim"))


def set_aside(teams: Sequence[SetAside]) -> None:
    """Print one line for each team that does not play."""
    if teams:
        print(f"{count(len(teams), 'team')} set aside, whose submissions do not load:", file=sys.stderr)
    for aside in teams:
        print(f"  {aside.team.team_id}: {aside.gist}", file=sys.stderr)


def decided_before(teams: Sequence[SetAside]) -> None:
    """Say of those set aside that what they hand in later changes nothing."""
    if teams:
        print("decided when this competition began: another run_dir plays with the submissions of now", file=sys.stderr)


def lonely_final(teams: int, rules: TournamentConfig) -> None:
    """Warn before the first game that the final will be of one team."""
    print(
        f"{count(teams, 'team')} in one arena of {rules.arena_size}: stage 2 will be its first team alone, which wins "
        "every item it bids for at the price 0. stage=1 plays without a final; a smaller tournament.arena_size makes "
        "several arenas",
        file=sys.stderr,
    )


def guessable(seed: int) -> None:
    """Warn that valuations follow from the seed."""
    print(
        f"seed = {seed} can be guessed by an agent, and its rivals' valuations with it. For a competition that counts: "
        "seed=random, in a new run_dir",
        file=sys.stderr,
    )
