"""The public names of `agt_tournament`: each is there, and importing the package loads the standard library alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

import agt_tournament


@pytest.mark.parametrize("name", agt_tournament.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(agt_tournament, name).__doc__


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        agt_tournament.nothing  # noqa: B018


def test_importing_the_package_and_the_agents_interface_loads_the_standard_library_alone() -> None:
    code = (
        "import sys; before = set(sys.modules); import agt_tournament.base_agent; "
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "print(sorted(names - sys.stdlib_module_names - {'agt_tournament'}))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
