"""One training loop for all three networks: warm-up and linear decay, EMA, checkpoints, exact resumption."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

_EMBEDDINGS = ("embed", "shared", "relative_attention_bias")
Loss = Callable[[nn.Module, int, torch.Generator], Tensor]


def train(
    name: str,
    model: nn.Module,
    loss: Loss,
    *,
    steps: int,
    lr: float,
    folder: Path,
    seed: int,
    device: torch.device,
    ema_decay: float = 0.999,
    checkpoint_every: int = 250,
) -> nn.Module:
    """Train `model` for `steps` and return its exponential moving average.

    `loss(model, step, generator)` draws its own batch from `generator`, which is seeded by (`seed`, `step`):
    a run resumed from its checkpoint `folder/<name>.pt` sees the same batches as an unbroken one.
    """
    model.to(device).train()
    average = deepcopy(model).eval().requires_grad_(False)
    optimizers = _optimizers(model, lr)
    path, first = folder / f"{name}.pt", 0
    if path.exists():
        stored = torch.load(path, map_location=device, weights_only=True)
        model.load_state_dict(stored["model"])
        average.load_state_dict(stored["average"])
        for optimizer, state in zip(optimizers, stored["optimizers"], strict=True):
            optimizer.load_state_dict(state)
        first = stored["step"]
        log.info("%s: resumed at step %d of %d", name, first, steps)
    running, began = None, time.monotonic()
    for step in range(first, steps):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * _schedule(step, steps)
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            value = loss(model, step, generator)
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        _update_average(average, model, min(ema_decay, (1 + step) / (10 + step)))
        running = value.item() if running is None else 0.99 * running + 0.01 * value.item()
        if (step + 1) % 50 == 0:
            pace = (time.monotonic() - began) / (step + 1 - first)
            log.info("%s: step %d/%d loss %.5f, %.3f s a step", name, step + 1, steps, running, pace)
        if (step + 1) % checkpoint_every == 0 or step + 1 == steps:
            checkpoint = {
                "model": model.state_dict(),
                "average": average.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                "step": step + 1,
            }
            save(checkpoint, path)
    return average


def _optimizers(model: nn.Module, lr: float) -> list[torch.optim.Optimizer]:
    """Use Muon for hidden matrices, AdamW for embeddings, convolutions, gains and biases (Jordan et al., 2024)."""
    hidden: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        edge = parameter.ndim != 2 or name == "transformer.proj_out.weight" or any(w in name for w in _EMBEDDINGS)
        (rest if edge else hidden).append(parameter)
    optimizers: list[torch.optim.Optimizer] = [torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.99), weight_decay=0.01)]
    if hidden:
        optimizers.append(torch.optim.Muon(hidden, lr=lr, weight_decay=0.01, adjust_lr_fn="match_rms_adamw"))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = lr
    return optimizers


def _schedule(step: int, steps: int) -> float:
    return min(1.0, (step + 1) / 200) * min(1.0, 1.02 - step / steps)


@torch.no_grad()
def _update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def trained(folder: Path, name: str, device: str = "cpu") -> dict[str, Tensor]:
    """Load the averaged weights of the checkpoint ``folder/<name>.pt``."""
    average: dict[str, Tensor] = torch.load(folder / f"{name}.pt", map_location=device, weights_only=True)["average"]
    return average


def save(value: Any, path: Path) -> None:
    """Write `value` at once or not at all."""
    part = path.with_suffix(".part")
    torch.save(value, part)
    part.replace(path)
