"""The public names of `diffusion_auction`: each is there, and none is loaded before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import diffusion_auction


@pytest.mark.parametrize("name", diffusion_auction.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(diffusion_auction, name).__doc__


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        diffusion_auction.nothing  # noqa: B018


def test_importing_the_package_loads_neither_torch_nor_pandas() -> None:
    code = "import sys, diffusion_auction; print({'torch', 'pandas', 'matplotlib'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
