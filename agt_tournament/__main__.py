"""`python -m agt_tournament`: what each action of the command line does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from agt_tournament.config import RESUMED, CompetitionConfig, read_config
from agt_tournament.headline import headline
from generative_auctions.command_line import Application, run_application
from generative_auctions.errors import RequestError
from generative_auctions.run_directory import check_ended
from launchers import check_launcher

_FLAGS = {
    "output-dir": "run_dir={}",
    "results-dir": "run_dir={}",
    "teams": "teams=[{}]",
    "test-game": "action=game",
    "validate": "action=validate agent={}",
    "generate-report": "action=report",
}
"""Options in the design document's command line whose names differ from the keys, and what to write instead."""


def main() -> int:
    """Run the command line; the exit status is 0, 1, 2 or 130 as `--help` says."""
    import agt_tournament.tournament.directory_name  # noqa: F401  (its resolver names the run directory)

    return run_application(Application("agt_tournament", perform, read_config, headline, _FLAGS))


def perform(tree: dict[str, Any]) -> int:
    """Perform the action that `tree` asks for.

    Returns:
        The exit status; 130 if an action that cannot be resumed is interrupted.
    """
    if sys.platform == "win32":  # agents are asked over sockets that Windows cannot hand to a process
        raise RequestError("platform", sys.platform, "Linux or macOS; on Windows the Linux of WSL (docs/team.md)")
    config = read_config(tree)
    try:
        return _act(config)
    except KeyboardInterrupt:
        if config.action in RESUMED:
            raise
        print("interrupted", file=sys.stderr)
        return 130


def _act(config: CompetitionConfig) -> int:
    """Perform `config.action`, importing no more than it needs."""
    if config.action == "sandbox_check":
        from agt_tournament.actions.sandbox_check import sandbox_check

        return sandbox_check(config.tournament.memory_limit_mb)
    if config.action == "validate":
        from agt_tournament.actions.validate import validate

        return validate(config)
    if config.action == "replay":
        from agt_tournament.actions.replay import replay

        return replay(config)
    if config.action == "game":
        from agt_tournament.actions.game import play_game

        return play_game(config)
    if config.action == "report":
        return _report(config)
    from agt_tournament.actions.run import run

    check_launcher(config.launcher, Path(config.run_dir))
    return run(config)


def _report(config: CompetitionConfig) -> int:
    """Show the game or write the pages of the competition that `config.run_dir` holds."""
    from agt_tournament.tournament.competition_directory import read_competition

    run_dir = Path(config.run_dir)
    check_ended(run_dir)
    if read_competition(run_dir)["action"] == "game":
        from agt_tournament.actions.game import GAME_FILE, show_game

        return show_game(run_dir / GAME_FILE)
    from agt_tournament.actions.report import report

    return report(config)


if __name__ == "__main__":
    sys.exit(main())
