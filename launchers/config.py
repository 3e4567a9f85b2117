"""The options of each launcher: every key of `conf/launcher`, its type and range."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from generative_auctions.schema import Section


class _Options(Section):
    """What all launchers have."""

    max_retries: int = Field(default=0, ge=0, le=100, description="how often a failed shard is tried again on the spot")
    shard_timeout: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="minutes after which the worker of a shard is killed; null: never; not for inline"
    )
    stage_dir: str | None = Field(default=None, description="folder on a node's own disk that weights are copied to")


class InlineConfig(_Options):
    """In this process, one shard after the other."""

    name: Literal["inline"] = "inline"

    @field_validator("shard_timeout")
    @classmethod
    def _nobody_keeps_it(cls, value: float | None) -> float | None:
        if value is not None:
            expected = "null, for this process would have to kill itself (launcher=local launcher.slots=1 has a limit)"
            raise PydanticCustomError("no_limit", expected)
        return value


class LocalConfig(_Options):
    """Workers on this host, each with a GPU of its own or a part of the CPUs."""

    name: Literal["local"]
    gpus: bool = Field(description="one worker per visible GPU, where there are any; false: CPU slots alone")
    slots: Annotated[int, Field(ge=1, le=4096)] | None = Field(
        description="most workers at once; null: one per GPU, without GPUs one per two CPUs"
    )
    workers_per_gpu: int = Field(ge=1, le=64, description="workers that share a GPU")
    wait: bool = Field(description="false: start the workers and return")


class ExternalConfig(_Options):
    """Workers that somebody else starts, by `python -m launchers work DIR`."""

    name: Literal["external"]
    wait: bool = Field(description="false: lay the work out and return")


class SlurmConfig(_Options):
    """Workers as tasks of SLURM job arrays."""

    name: Literal["slurm"]
    max_concurrent: int = Field(ge=1, le=100_000, description="most workers at once")
    max_array_size: Annotated[int, Field(ge=1)] | None = Field(None, description="tasks of an array; null: ask SLURM")
    shards_per_worker: Annotated[int, Field(ge=1)] | None = Field(
        description="a worker ends after so many; null: once there are none left"
    )
    partition: str | None = Field(description="as in sbatch")
    account: str | None = Field(description="as in sbatch")
    qos: str | None = Field(description="as in sbatch")
    gres: str | None = Field(description="of each worker, as in sbatch")
    constraint: str | None = Field(description="as in sbatch")
    time: int = Field(ge=1, description="minutes; a worker whose time is over is queued again")
    memory: Annotated[float, Field(gt=0)] | None = Field(description="GB of a worker; null: the partition's default")
    cpus: Annotated[int, Field(ge=1)] | None = Field(description="CPUs of a worker; null: the partition's default")
    signal_delay: int = Field(ge=1, le=3600, description="seconds before the time limit at which a worker is told")
    setup: list[str] = Field(description="shell lines before Python starts")
    python: str | None = Field(description="what starts Python on a node, say in a container; null: this interpreter")
    srun_args: list[str] = Field(description="more arguments of srun, say --container-image=…")
    additional: dict[str, Any] = Field(description="more options of sbatch, by name")
    wait: bool = Field(description="false: submit and return")
    on_interrupt: Literal["leave", "cancel"] = Field(description="what Ctrl-C does with the jobs")


LauncherConfig = Annotated[InlineConfig | LocalConfig | SlurmConfig | ExternalConfig, Field(discriminator="name")]
"""The options of one launcher; `name` decides which of the four it is."""
