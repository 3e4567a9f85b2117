"""Whether a submission would be accepted: it is tried as the competition would play it, and mistakes are explained."""

from __future__ import annotations

from agt_tournament.validation.problems import Finding
from agt_tournament.validation.trial import Trial
from agt_tournament.validation.verdict import Verdict

__all__ = ["Finding", "Trial", "Verdict"]
