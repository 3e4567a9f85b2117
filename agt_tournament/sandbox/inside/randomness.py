"""An agent's random numbers: all that Python and numpy draw follows from its seed; standard library only.

`random` and `numpy.random` are seeded. Whoever asks the operating system instead, as `secrets`, `uuid.uuid4`,
`random.Random()` or `numpy.random.default_rng()` do, gets the numbers of `_system`, which is seeded as well.
"""

from __future__ import annotations

import _random
import os
import posix
import random
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_system = random.Random()
_seed_generator = random.Random.seed
_seed = 0


def seed_randomness(seed: int) -> None:
    """Seed every source of random numbers; numpy, if it is not there yet, as soon as it is (see `followed`)."""
    global _seed
    _replace_sources()
    _seed = seed
    _system.seed(f"operating system, {seed}")  # not the numbers of `random`: text is hashed by SHA-512
    random.seed(seed)
    if numpy_random := sys.modules.get("numpy.random"):
        _seed_numpy(numpy_random)


def followed(name: str, spec: ModuleSpec | None) -> ModuleSpec | None:
    """Return `spec` of a module in `FOLLOWED` so that its random numbers are the agent's once it is executed."""
    loader: Any = spec and spec.loader
    if loader is not None:
        execute = loader.exec_module

        def execute_and_follow(module: ModuleType) -> None:
            execute(module)
            FOLLOWED[name](module)

        loader.exec_module = execute_and_follow
    return spec


def _seed_numpy(numpy_random: Any) -> None:
    numpy_random.seed([_seed >> shift & 0xFFFFFFFF for shift in range(0, 256, 32)])


def _replace_openssl(ssl: Any) -> None:
    ssl.RAND_bytes = _urandom


FOLLOWED = {"numpy.random": _seed_numpy, "_ssl": _replace_openssl}
"""Modules with random numbers of their own, and what is done when an agent imports them."""


UNSEEDED = {"_sqlite3": "sqlite3", "_uuid": "libuuid"}
"""Modules whose random numbers cannot be seeded, by their common names; without libuuid `uuid` asks `random`."""


def _replace_sources() -> None:
    """Let whatever asks the operating system for random numbers ask `_system`."""
    modules: tuple[Any, ...] = (os, posix)
    for module in modules:
        module.urandom = _urandom
        if hasattr(module, "getrandom"):  # on Linux
            module.getrandom = _getrandom
    python: Any = random
    c_module: Any = _random
    python._urandom = _urandom  # of SystemRandom, and thereby of secrets and of numpy's SeedSequence
    python.Random.seed = _seed_or_draw
    python.seed = python._inst.seed
    c_module.Random = python.Random


def _urandom(size: int, /) -> bytes:
    return _system.randbytes(size)


def _getrandom(size: int, flags: int = 0) -> bytes:
    return _system.randbytes(size)


def _seed_or_draw(self: random.Random, a: Any = None, version: int = 2) -> None:
    """Seed as `random.Random.seed` does; without a seed Python would ask the operating system for one."""
    _seed_generator(self, _system.getrandbits(256) if a is None else a, version)
