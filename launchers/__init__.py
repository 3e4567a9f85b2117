"""Where work runs: a function, a list of shards, a folder of marks."""

from launchers.config import ExternalConfig, InlineConfig, LauncherConfig, LocalConfig, SlurmConfig
from launchers.errors import FailedShardsError, LaunchError, NotWaitedError, SlurmError
from launchers.fan_out import check_launcher, fan_out
from launchers.shards import Shard, completion_of, forget, open_shards, record_of

__all__ = [
    "ExternalConfig",
    "FailedShardsError",
    "InlineConfig",
    "LaunchError",
    "LauncherConfig",
    "LocalConfig",
    "NotWaitedError",
    "Shard",
    "SlurmConfig",
    "SlurmError",
    "check_launcher",
    "completion_of",
    "fan_out",
    "forget",
    "open_shards",
    "record_of",
]
