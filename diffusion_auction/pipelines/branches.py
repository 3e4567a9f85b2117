"""The branches of a composed denoiser: which encoded prompts make which sample, and with what weight."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Branches:
    """Which prompts compose which sample: R branches, each a pass of one sample under one prompt.

    `branches[i]` and `branches[i:j]` are those of some samples; `len(branches)` is the number of samples.

    prompt_embeds: (P, L, D) T5 sequences of the P distinct prompts; pooled_prompt_embeds: (P, D').
    sample, prompt: int64 (R,), the sample of the batch, ascending from 0, and the prompt of each branch.
    weight: float32 (R,), positive, summing to 1 over the branches of each sample.
    """

    prompt_embeds: Tensor
    pooled_prompt_embeds: Tensor
    sample: Tensor
    prompt: Tensor
    weight: Tensor

    @classmethod
    def of_prompts(cls, prompt_embeds: Tensor, pooled_prompt_embeds: Tensor, prompt: Tensor) -> Self:
        """Return one branch a sample: the denoiser of sample s is that of the prompt `prompt[s]` alone."""
        samples = torch.arange(len(prompt))
        return cls(prompt_embeds, pooled_prompt_embeds, samples, prompt, torch.ones(len(prompt)))

    def __len__(self) -> int:
        return int(self.sample[-1]) + 1

    def __getitem__(self, index: int | slice) -> Self:
        """Return the branches of some samples, which are counted from 0 anew."""
        chosen = range(len(self))[index]
        return self._of_samples([chosen] if isinstance(chosen, int) else list(chosen))

    def repeated(self, times: int) -> Self:
        """Return those of `times` samples in the place of each."""
        return self._of_samples([sample for sample in range(len(self)) for _ in range(times)])

    def to(self, device: torch.device | str) -> Self:
        """Return the same with the embeddings on `device`."""
        return replace(
            self,
            prompt_embeds=self.prompt_embeds.to(device),
            pooled_prompt_embeds=self.pooled_prompt_embeds.to(device),
        )

    def _of_samples(self, samples: list[int]) -> Self:
        if not samples:
            raise IndexError("no samples")
        rows = [(self.sample == sample).nonzero()[:, 0] for sample in samples]
        numbers = [torch.full((len(part),), number) for number, part in enumerate(rows)]
        chosen = torch.cat(rows)
        return replace(self, sample=torch.cat(numbers), prompt=self.prompt[chosen], weight=self.weight[chosen])
