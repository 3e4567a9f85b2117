"""Pages of a competition: the staff's, with everything, the class's, and each team's, with its own results alone."""

from __future__ import annotations

from agt_tournament.report.measures import Load
from agt_tournament.report.public import standings_page, write_standings
from agt_tournament.report.results import Results
from agt_tournament.report.staff import generate_analytics_report
from agt_tournament.report.team_folders import write_team_folders

__all__ = ["Load", "Results", "generate_analytics_report", "standings_page", "write_standings", "write_team_folders"]
