"""Where work runs: `fan_out` runs a function over shards, in this process, on this host, under SLURM or elsewhere.

A stage of work is a folder of plain files: the list of its shards, the leases on them, a record of each that is done or
has failed, and a record of each worker.
"""

from launchers.config import ExternalConfig, InlineConfig, LauncherConfig, LocalConfig, SlurmConfig
from launchers.errors import FailedShardsError, LaunchError, NotWaitedError, SlurmError
from launchers.fan_out import check_launcher, fan_out
from launchers.shards import Failure, Shard, completion_of, completion_path, forget, open_shards, record_of
from launchers.staging import staged
from launchers.status import write_manifest

__all__ = [
    "ExternalConfig",
    "FailedShardsError",
    "Failure",
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
    "completion_path",
    "fan_out",
    "forget",
    "open_shards",
    "record_of",
    "staged",
    "write_manifest",
]
