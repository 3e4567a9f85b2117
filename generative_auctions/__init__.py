"""What the applications and the launchers share: schema, errors, run directories, pages, the command line.

It knows neither application. Its public names are imported when first asked for: the command line needs Hydra, figures
need Matplotlib.
"""

from generative_auctions.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "command_line": ("Application", "run_application"),
        "errors": ("CommandEnd", "RequestError"),
        "files": ("DamagedFileError",),
        "schema": ("Section", "config_identity", "read_config"),
    },
)
