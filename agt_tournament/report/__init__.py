"""Pages of a competition: one for the staff, who see all, and a folder for each team, which sees what is its own."""

from __future__ import annotations

from agt_tournament.report.measures import Load
from agt_tournament.report.staff import generate_analytics_report
from agt_tournament.report.team_folders import write_team_folders

__all__ = ["Load", "generate_analytics_report", "write_team_folders"]
