"""Weights by their names on the hub: find them, check access, download and verify them."""

from generative_auctions.lazy import lazily

__all__, __getattr__ = lazily(
    __name__,
    {
        "hub": ("HubError", "HubFile", "account", "adopt_token", "check_access", "listing"),
        "snapshot": ("Snapshot",),
        "sources": ("Source", "cached", "check_pipeline", "hub_sources"),
    },
)
