"""Teams as they are registered, and teams that are set aside (design document, Team)."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from generative_auctions.text import shortened

_LETTERS = 200
"""The length to which a reason is cut for one line."""
_PLACE = re.compile(r'File "(.+)", line (\d+)')


@dataclass(frozen=True)
class Team:
    """A registered team; `agent_file_path` is a file or a folder with `AGENT_FILE`."""

    team_id: str
    team_name: str
    agent_file_path: str
    registration_timestamp: datetime | None = None
    """None if unknown; such a team comes last where the timestamp breaks a tie."""
    members: list[str] = field(default_factory=list)
    filler: bool = False
    """Whether the staff entered it to fill an arena; then it is not ranked and cannot advance."""

    @property
    def stamp(self) -> str | None:
        """The registration time in ISO 8601; None if unknown."""
        return self.registration_timestamp.isoformat() if self.registration_timestamp else None

    def as_json(self) -> dict[str, Any]:
        """Return the entry of the run directory's configuration, without the path."""
        shown = {**asdict(self), "registration_timestamp": self.stamp}
        del shown["agent_file_path"]
        return shown

    @classmethod
    def of_json(cls, entry: dict[str, Any]) -> Team:
        """Read what `as_json` returned."""
        stamp = entry["registration_timestamp"]
        parsed = datetime.fromisoformat(stamp) if stamp else None
        return cls(**{**entry, "registration_timestamp": parsed}, agent_file_path="")


class SetAside(NamedTuple):
    """A team that does not play."""

    team: Team
    reason: str
    """Why the submission cannot be read or loaded: one line, or the traceback of its import."""

    @property
    def gist(self) -> str:
        """The reason in one line; of a traceback, the last place and the error."""
        lines = self.reason.strip().splitlines()
        places = _PLACE.findall(self.reason)
        is_raised = not lines[-1].startswith("  ")  # else the last line is a place, where it was stopped
        error = lines[-1] if is_raised else lines[0]
        said = f"{places[-1][0]}:{places[-1][1]}: {error}" if places else lines[0]
        return shortened(said, _LETTERS)

    def as_json(self) -> dict[str, Any]:
        """Return the entry of the run directory's configuration."""
        return {**self.team.as_json(), "reason": self.reason}

    @classmethod
    def of_json(cls, entry: dict[str, Any]) -> SetAside:
        """Read what `as_json` returned."""
        return cls(Team.of_json({key: value for key, value in entry.items() if key != "reason"}), entry["reason"])
