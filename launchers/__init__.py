"""Where work runs: a function, a list of shards, a folder of marks."""

from launchers.fan_out import FailedShardsError, fan_out
from launchers.shards import Shard, mark_of

__all__ = ["FailedShardsError", "Shard", "fan_out", "mark_of"]
