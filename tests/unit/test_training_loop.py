"""The training loop: a run that is broken off and resumed ends in the weights of an unbroken one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from diffusion_auction.tiny_flux.loop import train

STEPS = 9


def fit(folder: Path, break_at: int | None = None) -> nn.Module:
    """Train a small network to negate its input; break off at a step if told."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))

    def loss(model: nn.Module, step: int, generator: torch.Generator) -> torch.Tensor:
        if step == break_at:
            raise KeyboardInterrupt
        batch = torch.randn(16, 4, generator=generator)
        return ((model(batch) + batch) ** 2).mean()

    return train(
        "net",
        model,
        loss,
        steps=STEPS,
        lr=1e-2,
        folder=folder,
        seed=3,
        device=torch.device("cpu"),
        checkpoint_every=2,
    )


@pytest.mark.parametrize("break_at", [1, 4, 7])
def test_a_resumed_run_ends_in_the_same_weights(tmp_path: Path, break_at: int) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole = fit(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(tmp_path / "broken", break_at)
    resumed = fit(tmp_path / "broken")
    for expected, found in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(expected, found)


def test_training_moves_the_weights_and_keeps_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    fresh = nn.Linear(4, 8).weight
    trained = fit(tmp_path)
    assert not torch.equal(fresh, trained.get_parameter("0.weight"))
    assert torch.load(tmp_path / "net.pt", weights_only=True)["step"] == STEPS
    assert not list(tmp_path.glob("*.part"))
