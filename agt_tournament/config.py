"""The schema of a competition: every key of `conf/agt_tournament.yaml` and `conf/tournament`, its type and range."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from generative_auctions import schema
from generative_auctions.errors import RequestError
from generative_auctions.files import DamagedFileError
from generative_auctions.run_directory import GUESSABLE, NOTHING_ELSE_SAYS, read_run
from generative_auctions.schema import Section, matching
from launchers import LauncherConfig

Number = Annotated[float, Field(allow_inf_nan=False)]
Range = Annotated[list[Number], Field(min_length=2, max_length=2)]
TEAM_ID = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"

MOST_SEED = 1 << 128
"""All seeds are below this number."""

RESUMED = ("run", "game")
"""Actions that resume what their run directory holds."""


class ScoringWeights(Section):
    """What a game's score is made of; the design document's `SCORING_WEIGHTS`."""

    utility: Number = Field(description="weight of the utility")
    items_won: Number = Field(description="points for each item won")
    budget_remaining: Number = Field(description="points for each unit of the budget that is left")


UTILITY_ALONE = ScoringWeights(utility=1.0, items_won=0.0, budget_remaining=0.0)
"""The weights of the design document: a game's score is its utility."""


class TournamentConfig(Section):
    """The rules; the names are those of the design document, section 8."""

    name: Annotated[str, matching(r"\w[\w.-]*", "letters, digits, _, . and -, a letter or digit first")] = Field(
        description="of the competition"
    )
    total_items: int = Field(ge=1, le=1000, description="items of a game: the sum of the three kinds")
    high_value_items: int = Field(ge=0, description="items whose values are drawn from high_value_range")
    low_value_items: int = Field(ge=0, description="items whose values are drawn from low_value_range")
    mixed_value_items: int = Field(ge=0, description="items whose values are drawn from mixed_value_range")
    high_value_range: Range = Field(description="lowest and highest value; drawn for each team and item")
    low_value_range: Range = Field(description="lowest and highest value; drawn for each team and item")
    mixed_value_range: Range = Field(description="lowest and highest value; drawn for each team and item")
    valuations_per: Literal["game", "stage"] = Field(description="how long a team keeps its valuations")
    auction_rounds: int = Field(ge=1, description="items that are auctioned in a game")
    initial_budget: Number = Field(gt=0, le=1e9, description="of each team in each game")
    reveal_order: bool = Field(description="false: agents get the items sorted, not in the order of the auction")
    bid_decimals: Annotated[int, Field(ge=0, le=6)] | None = Field(description="bids are rounded to; null: as bid")
    arena_size: int = Field(ge=1, le=200, description="teams of an arena")
    games: int = Field(ge=1, le=1_000_000, description="games of an arena in each stage")
    stage1_games: int = Field(ge=1, le=1_000_000, description="games of an arena in stage 1; by default games")
    stage2_games: int = Field(ge=1, le=1_000_000, description="games of the final; by default games")
    block_games: int = Field(ge=1, description="games that a team's process lives for; the unit of resumption")
    fillers: list[str] = Field(description="examples or submissions of the staff that fill arenas; cannot advance")
    bid_timeout_seconds: Number = Field(gt=0, le=3600, description="CPU time of a bid")
    load_timeout_seconds: Number = Field(gt=0, le=3600, description="CPU time of loading an agent")
    game_timeout_seconds: Number = Field(gt=0, le=36000, description="CPU time of all that an agent does in a game")
    memory_limit_mb: int = Field(ge=32, le=1_000_000, description="memory of an agent's process, MB")
    output_limit_kb: int = Field(ge=0, le=10_000, description="kept of what an agent prints in a game, kB")
    scoring_weights: ScoringWeights
    title: Annotated[str, Field(min_length=1, max_length=200)] | None = Field(
        description="headline of all pages; action=report may change it"
    )
    public: Literal["places", "points", "none"] | None = Field(
        description="what public/standings.html shows; action=report may change it"
    )

    def stage_games(self, stage: int) -> int:
        """Return the number of games of a stage; stage 0 is a single game."""
        return {1: self.stage1_games, 2: self.stage2_games}.get(stage, 1)


class SandboxConfig(Section):
    """The walls around an agent's process."""

    name: Literal["auto", "bubblewrap", "landlock", "none"]


class CompetitionConfig(Section):
    """What the command line asks for, as Hydra composed it."""

    action: Literal["run", "game", "validate", "replay", "report", "sandbox_check"] = Field(description="what to do")
    stage: Annotated[int, Field(ge=1, le=2)] | None = Field(description="which stage to play; null: both")
    teams_dir: str | None = Field(
        description="a folder that has one per team with bidding_agent.py, or a teams.yaml; null: the bundled teams"
    )
    teams: Annotated[list[str], Field(min_length=1)] | None = Field(
        description="who plays action=game: files, folders, names of bundled examples, or ids of teams in teams_dir"
    )
    agent: str | None = Field(
        description="the file or folder that action=validate looks at; within 20 seconds it plays what it can, one "
        "game at least, and says what it waits for"
    )
    json_: str | None = Field(
        alias="json",
        description="a file for the verdict of action=validate, beside what is printed; - prints it instead",
    )
    i_trust_these_agents: bool = Field(description="lets sandbox=none run agents that are not bundled")
    bad_submissions: Literal["refuse", "set_aside"] = Field(
        description="if submissions cannot be read or loaded: name them all and end, or play without them"
    )
    optimize: str | list[str] | None = Field(
        None,
        description="with -m and a sweeper that optimizes, as Optuna's: a number of metrics.json, or a list of several",
    )
    rerun: bool = Field(description="whether action=replay runs the agents again and compares their bids")
    run_dir: str = Field(
        min_length=1,
        description="where everything is stored. Without it: outputs/agt_tournament/ and tournament.name, or a name "
        "that follows from what was asked, so that the same command finds it again; with -m: a directory of its own in "
        "outputs/agt_tournament/multirun/",
    )
    seed: int = Field(
        ge=0,
        lt=MOST_SEED,
        description="of all that is random. Agents can guess a small one; random draws one that nobody can guess, and "
        "stores it; null: that of run_dir, 0 in a new one",
    )
    tournament: TournamentConfig = Field(description="the rules")
    sandbox: SandboxConfig = Field(description="the walls around an agent's process")
    launcher: LauncherConfig = Field(description="where the work runs; each takes up what another left")


PRESENTATION = (
    *("action", "stage", "teams_dir", "teams", "agent", "json_", "rerun", "optimize", "run_dir", "launcher"),
    *("sandbox", "i_trust_these_agents", "bad_submissions", "tournament.title", "tournament.public"),
)
"""Keys that may differ between two runs of one directory. Who plays is compared by the submissions themselves."""


def read_config(tree: dict[str, Any]) -> CompetitionConfig:
    """Check the composed configuration `tree`, its seed settled as by `choose_seed`.

    Raises:
        RequestError: naming the first key that is wrong.
    """
    config = schema.read_config(CompetitionConfig, {**tree, "seed": choose_seed(tree)})
    rules = config.tournament
    parts = rules.high_value_items + rules.low_value_items + rules.mixed_value_items
    if parts != rules.total_items:
        expected = f"the sum of high, low and mixed_value_items, {parts}"
        raise RequestError("tournament.total_items", rules.total_items, expected)
    if rules.auction_rounds > rules.total_items:
        expected = f"at most tournament.total_items={rules.total_items}"
        raise RequestError("tournament.auction_rounds", rules.auction_rounds, expected)
    for name in ("high_value_range", "low_value_range", "mixed_value_range"):
        low, high = getattr(rules, name)
        if not 0 <= low <= high:
            raise RequestError(f"tournament.{name}", [low, high], "two numbers, 0 <= low <= high")
    return config


def choose_seed(tree: dict[str, Any]) -> int:
    """Return the seed that the composed configuration `tree` asks for.

    Where it is null or ``random``, a run that is resumed keeps its seed. A new run gets 0 for null, and for ``random``
    128 bits that nobody can guess.

    Raises:
        RequestError: it is no seed; or it is ``random``, and the run directory holds a run with a seed that can be
            guessed.
    """
    asked = tree.get("seed")
    if type(asked) is int and 0 <= asked < MOST_SEED:
        return asked
    if asked not in (None, "random"):
        raise RequestError("seed", asked, "an integer from 0 to 2^128 - 1, or random")
    run_dir = Path(str(tree.get("run_dir")))
    if tree.get("action") not in RESUMED or not (run_dir / "config.yaml").exists():
        return 0 if asked is None else secrets.randbits(128)
    stored = read_run(run_dir).get("seed")
    if type(stored) is not int:
        raise DamagedFileError(run_dir / "config.yaml", "it has no seed", NOTHING_ELSE_SAYS)
    if asked == "random" and stored < GUESSABLE:
        raise RequestError(
            "seed", asked, f"another run_dir: {run_dir} was made with seed={stored}, which can be guessed"
        )
    return stored


def identity(config: CompetitionConfig) -> dict[str, Any]:
    """Return the flat keys that decide what a run makes, except the submissions."""
    return schema.config_identity(config, PRESENTATION)
