"""The commands of the guides, as tests run them: word by word, but smaller where full size takes long.

A fenced block of a guide holds shell commands unless it says otherwise: `python` is a program, `json` and `yaml` are
files, `text` is what a command prints. A guide becomes one shell session. Its `python` and `pytest` are
stand-ins that ask a server, so that no command waits for torch to load: the server has it and forks.
"""

from __future__ import annotations

import os
import re
import runpy
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.warm import serve

PROGRAMS = ("python", "pytest")
SOCKET = "GUIDE_COMMANDS"
STAND_IN = f"""#!{sys.executable} -SE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect(os.environ["{SOCKET}"])
    command = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
    request = json.dumps({{"command": command, "cwd": os.getcwd(), "environment": dict(os.environ)}})
    socket.send_fds(server, [request.encode()], [0, 1, 2])
    sys.exit(int(server.recv(16)) & 0xFF)
"""

SMALLER = {
    "+sweep=two_agent_grid": ("bids.axes=[[0,0.5,1],[0,1]]", "scenarios=[0]"),
    "diffusion_auction": ("samples=2",),
    "agt_tournament": ("tournament.games=1",),
}
"""What is added to a command that makes images or plays games, by an argument or the module. See `smaller`."""

NOT_RUN = {
    "pytest": "is the suite that this test belongs to",
    "tests.benchmarks": "takes minutes, and is run by make bench",
    "ruff": "is run by make lint",
    "mypy": "is run by make lint",
    "mkdocs": "is run by make docs",
    "tests.walls": "is run by make walls",
    "docs/make_results.py": "takes an hour",
    "diffusion_auction.tiny_flux.train": "takes hours; tests/e2e/test_train.py runs it",
}
"""Programs and modules that a guide names and a test does not run."""

NEEDS_A_GPU = re.compile(r"model=flux_\w+")
"""In an argument of `diffusion_auction`: 34 GB of weights from the hub. Its configuration is composed and checked."""


# --- reading ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A fenced block: its first line in the guide (from 1), its language, its lines."""

    line: int
    language: str
    text: str


def blocks(guide: str) -> list[Block]:
    """The fenced blocks of a guide's text, in order."""
    found: list[Block] = []
    language, begin, lines = None, 0, []
    for number, line in enumerate(guide.splitlines(), start=1):
        if line.startswith("```"):
            if language is None:
                language, begin, lines = line[3:].strip(), number + 1, []
            else:
                found.append(Block(begin, language, "\n".join(lines) + "\n"))
                language = None
        elif language is not None:
            lines.append(line)
    return found


# --- running ---------------------------------------------------------------------------------------------


def smaller(command: Sequence[str]) -> list[str]:
    """`command` with what makes it affordable; keys that it gives itself stay, but for the number of games.

    Of the values that a multirun goes through, two of each key are enough.
    """
    module, arguments = command[2], list(command[3:])
    if "-m" in arguments:
        arguments = [re.sub(r"^([\w./]+=[^,\[]+,[^,]+),.*", r"\1", word) for word in arguments]
    action = next((each.removeprefix("action=") for each in arguments if each.startswith("action=")), "run")
    if action not in ("run", "game") or "--help" in arguments:
        return [*command]
    for name in (module, *arguments):
        for override in SMALLER.get(name, ()):
            key = override.partition("=")[0]
            if key.startswith("tournament.") or not any(each.startswith(f"{key}=") for each in arguments):
                arguments.append(override)
    sweeps = [each.removeprefix("+sweep=") for each in command[3:] if each.startswith("+sweep=")]
    if sweeps and all(each.startswith(("+sweep=", "launcher")) for each in command[3:]):
        arguments.append(f"name={sweeps[0]}")  # as its directory is called at full size
    return [*command[:3], *arguments]


def perform(command: list[str]) -> int | str | None:
    """Do what `command` asks for, in this process; its exit status."""
    name = command[2] if command[:2] == ["python", "-m"] else command[1] if command[0] == "python" else command[0]
    if name in NOT_RUN:
        print(f"not run: {name} {NOT_RUN[name]}")
        return 0
    if command[:2] != ["python", "-m"]:
        return program(command[1:])
    if NEEDS_A_GPU.search(" ".join(command)) and "action=plan" not in command:
        return check(command[3:])
    if name in ("diffusion_auction", "agt_tournament"):
        command = smaller(command)
        print("$", shlex.join(command), flush=True)
    sys.argv = command[2:]
    runpy.run_module(name, run_name="__main__", alter_sys=True)
    return 0


def program(arguments: list[str]) -> int:
    """`python FILE` and `python -c TEXT`."""
    sys.argv = arguments[1:] if arguments[0] == "-c" else arguments
    if arguments[0] == "-c":
        exec(arguments[1], {"__name__": "__main__"})
    else:
        runpy.run_path(arguments[0], run_name="__main__")
    return 0


def check(arguments: list[str]) -> int:
    """Compose the configuration of a command of the image auction and read it as the command would."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from diffusion_auction.config import read_config
    from generative_auctions.config_tree import CONF
    from generative_auctions.errors import RequestError

    folders = [arguments[place + 1] for place, word in enumerate(arguments) if word == "--config-dir"]
    words = [word for word in arguments if word not in ("-m", "--config-dir", *folders)]
    searched = [f"hydra.searchpath=[{','.join(f'file://{os.path.abspath(folder)}' for folder in folders)}]"]
    with initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
        composed = compose("diffusion_auction", overrides=[*words, *(searched if folders else [])])
    try:
        config = read_config(OmegaConf.to_container(composed, resolve=True, throw_on_missing=True))  # type: ignore[arg-type]
    except RequestError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"checked, not run, as there is no GPU: {config.model.name} with launcher={config.launcher.name}")
    return 0


if __name__ == "__main__":
    serve(sys.argv[1], perform)
