"""A laboratory cluster: a real SLURM of one node with pretended GPUs, in one folder, started without any rights."""

from tests.slurm_lab.lab import SlurmLab, SlurmLabError, missing_programs, wait_until

__all__ = ["SlurmLab", "SlurmLabError", "missing_programs", "wait_until"]
