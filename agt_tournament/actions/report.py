"""`action=report`: write the tables and pages of a competition again."""

from __future__ import annotations

from pathlib import Path

from agt_tournament.actions.results import write_results
from agt_tournament.config import CompetitionConfig
from agt_tournament.tournament.competition_directory import keep_presentation, read_competition, stored_teams


def report(config: CompetitionConfig) -> int:
    """Write the tables and pages of the stored games again, with the headline and the standings that `config` asks for.

    Returns:
        The exit status, as `write_results`.
    """
    run_dir = Path(config.run_dir)
    keep_presentation(run_dir, config)
    stored = read_competition(run_dir)
    return write_results(run_dir, stored_teams(stored), stored)
