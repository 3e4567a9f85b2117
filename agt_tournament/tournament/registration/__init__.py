"""Who takes part: teams by registration or by name, and what each of them handed in."""

from agt_tournament.tournament.registration.submissions import Submission, digest, read_submission, store_submission
from agt_tournament.tournament.registration.teams import SetAside, Team
from agt_tournament.tournament.registration.unregistered import examples

__all__ = ["SetAside", "Submission", "Team", "digest", "examples", "read_submission", "store_submission"]
