"""Problems of a trial: each mistake once, with its place and line in the submission and a hint.

Text of a submission is data here: lines are looked up in the files that were read, never on disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agt_tournament.tournament.registration.submissions import AGENT_FILE
from agt_tournament.validation import hints
from agt_tournament.validation.trial import Asked, Trial
from generative_auctions.text import shortened

_FRAME = re.compile(r'^ *File "([^"\n]+)", line (\d{1,9})', re.MULTILINE)
_NOT_A_MESSAGE = re.compile(r"\s|Traceback \(")
_ENDS_THE_PROCESS = r"[^#\n]*\b(?:sys\.exit|os\._exit|os\.abort|exit|quit)\s*\("
_ORIGIN = re.compile(r" \((?:/[^()]*|unknown location)\)$")
"""Matches the path of a module from which a name cannot be imported: a path of this machine."""
_LONGEST = 300


@dataclass(frozen=True)
class Finding:
    """A mistake, or something to think about."""

    what: str
    where: str
    """The game, round and method of its first occurrence."""
    error: str
    """The class of the error as in the logs, or the kind of warning."""
    hint: str
    file: str | None = None
    """The path of the file in the submission."""
    line: int | None = None
    source: str | None = None
    """The text of that line."""
    count: int = 1
    traceback: str = ""


def find_problems(trial: Trial) -> list[Finding]:
    """Return every mistake once, in the order of its first time."""
    found: dict[tuple[Any, ...], Finding] = {}
    for asked in trial.asked:
        if asked.answer.error is not None:
            problem = _problem(trial, asked, asked.answer.error)
            kind = problem.what.partition(":")[0] if problem.error == "crash" else problem.hint  # not the values in it
            place = None if problem.error == "timeout" else (problem.file, problem.line)  # it is stopped anywhere
            key = problem.error, asked.method, place, kind
            seen = found.get(key, replace(problem, count=0))
            found[key] = replace(seen, count=seen.count + 1)
    return list(found.values())


def _problem(trial: Trial, asked: Asked, error: str) -> Finding:
    """Return the finding of an answer that was an `error`."""
    text, method = asked.answer.text, asked.method
    file, line = _place(text, trial.files) or _definition(error, method, trial.files) or (None, None)
    lines = _lines(trial.files[file]) if file else []
    source = lines[line - 1].strip() if line and line <= len(lines) else ""
    message, content = _message(text), "\n".join(lines)
    folder = trial.path.parent if trial.path.is_file() else None
    hint = hints.problem(
        hints.Mistake(error, method, message, source, trial.rules, folder, trial.files, content, trial.ignored)
    )
    if folder:  # the one file is called otherwise in the trial
        message = message.replace(AGENT_FILE, trial.path.name)
        file = trial.path.name if file == AGENT_FILE else file
    if error == "timeout":
        what = "the import" if method == "import" else method
        waited = message.startswith(hints.WAITED)
        seconds = asked.answer.seconds or 0.0 if waited else asked.seconds
        message = f"too slow: {what} {'waited and ' if waited else ''}was stopped after {seconds:.2f} s"
    return Finding(
        what=printable(message),
        where=_where(asked),
        error=error,
        hint=printable(hint),
        file=printable(file) if file else None,
        line=line,
        source=printable(source.expandtabs(4)) if source else None,
        traceback=text,
    )


def _message(text: str) -> str:
    """Return the line of a traceback that says what happened, or the first of another text."""
    lines = (line for line in text.split("\n") if line and not _NOT_A_MESSAGE.match(line))
    line = next(lines, text.strip().rpartition("\n")[2] or "an error without a text")
    line = _ORIGIN.sub("", line)
    name, colon, rest = line.partition(":")
    if re.fullmatch(r"[\w.]+", name):  # numpy.linalg.LinAlgError
        line = name.rpartition(".")[2] + colon + rest
    return shortened(line, _LONGEST)


def _where(asked: Asked) -> str:
    """Say in which game, round and method an answer was asked."""
    if not asked.game:
        return "when the file is imported"
    if asked.round is None:
        return f"after the last round of {asked.game}, {asked.method}"
    if asked.round == 0:
        return f"before {asked.game}, {asked.method}"
    if asked.method == "update_after_each_round":  # the outcome travels with the next question
        return f"{asked.game}, after round {asked.round - 1}, {asked.method}"
    return f"{asked.game}, round {asked.round}, {asked.method}"


def printable(text: str) -> str:
    """Return `text` in one line, without what a terminal would act on or cannot show."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


# --- lines of the submission -----------------------------------------------------------------------------


def _place(text: str, files: Mapping[str, bytes]) -> tuple[str, int] | None:
    """Return the innermost place in the submission that a traceback names."""
    places = ((file, int(line)) for file, line in reversed(_FRAME.findall(text)) if file in files)
    return next(places, None)


def _definition(error: str, method: str, files: Mapping[str, bytes]) -> tuple[str, int] | None:
    """Find the only call that ends the process, or the only such method, for an error without a traceback."""
    patterns = [_ENDS_THE_PROCESS] if error == "exit" else []
    for pattern in (*patterns, rf"[ \t]*(?:async\s+)?def\s+{method}\b"):
        places = [
            (name, number)
            for name, content in files.items()
            if name.endswith(".py")
            for number, line in enumerate(_lines(content), start=1)
            if re.match(pattern, line)
        ]
        if len(places) == 1:
            return places[0]
    return None


def _lines(content: bytes) -> list[str]:
    """Split into lines as Python counts them: not every separator of `str.splitlines` ends one."""
    return re.split("\r\n|\r|\n", content.decode("utf-8-sig", errors="replace"))
