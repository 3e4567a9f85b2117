"""What an attack is, and what there is to be reached by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Planted:
    """What is put where an agent without walls would get at it; an attack's source is formatted with it."""

    secret: str
    """A word that is found nowhere else: in `secret_file`, in the organiser's environment as AUCTION_SECRET, …"""
    secret_file: Path
    """Outside of every submission, readable by the organiser's user."""
    rival_folder: Path
    """A rival's stored submission; its bidding_agent.py holds `secret` in a comment."""
    run_dir: Path
    """The organiser's run directory; config.yaml in it holds `secret`."""
    scratch: Path
    """A folder that the organiser's user can write: whatever is in it after the game was written by the attacker."""
    tcp_port: int
    """Of a listener on 127.0.0.1, which notes every connection."""
    udp_port: int
    unix_socket: Path
    """A listening stream socket; there is one of the abstract name `secret_name` as well."""
    abstract_name: str
    descriptor: int
    """An inheritable descriptor of the organiser, open on `secret_file`."""
    organiser: int
    """The organiser's process id."""
    marker: str = ""
    """Part of the name of whatever an attack creates outside of `scratch`, the submissions and the run directory: by it
    it is found, in /tmp, /dev/shm and the like, and removed."""


@dataclass(frozen=True)
class Evidence:
    """What is seen after a game with the attacker in it."""

    planted: Planted
    printed: str
    """What the attacker's process printed."""
    connections: tuple[str, ...]
    """``tcp``, ``udp``, ``unix``, ``abstract``: which listeners heard something."""
    written: tuple[str, ...]
    """New files in `Planted.scratch`, /tmp, /var/tmp, /dev/shm, the submissions and the run directory."""
    left: tuple[int, ...]
    """Processes that the game left behind."""
    most_resident: int
    """Bytes: the highest resident set of the attacker's processes together that was seen during the game."""
    rivals_slowed: float
    """Seconds that honest agents' answers took longer than in a game without the attack."""
    organiser_hit: bool
    """Whether the organiser was stopped, killed or got a signal."""
    between_turns: float = 0.0
    """Seconds of CPU time that the attacker's processes used while it was not asked."""
    seconds: float = 0.0
    """Of wall time, that the organiser needed for all games."""
    rivals_failed: tuple[str, ...] = ()
    """Teams other than the attacker for which an error was logged."""
    bids: tuple[tuple[float, ...], ...] = ()
    """What the attacker bid, by game."""
    stored_bytes: int = 0
    """Size of the game files with what all agents printed."""
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Attack:
    """One line of attacks.md as an agent that really does it.

    `source` is the text of a bidding_agent.py, formatted with the fields of `Planted` by ``str.replace`` of
    ``<<field>>``. Where it got what it wanted it prints ``REACHED`` and what it reached on its standard output, so that
    the same agent shows under ``sandbox=none`` that the attack works.
    """

    number: int
    name: str
    source: str
    errors: frozenset[str | None]
    """The classes one of which must be logged for it; None among them: the attack may come to nothing without one."""
    succeeded: Callable[[Evidence], bool]
    """Whether the attack reached its end."""
    long: bool = False
    """Whether it needs the whole bid timeout."""
    games: int = 1
    """How many games are played one after the other; the attacker's process is started again where it has ended."""
    runs: int = 1
    """How often the games are played, each time by new processes from the same seeds."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Fields of `Limits` that differ from the harness's for the attacker; those that `Limits` lacks are left out."""
    rivals_import: str = ""
    """A module that some of the honest agents import."""
    rivals_load_seconds: float = 10.0
    """The load limit of the honest agents."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Further files of the submission, by relative path."""

    @property
    def key(self) -> str:
        """What it is called in the tests."""
        return f"{self.number:02}-{self.name.replace(' ', '-')}"
