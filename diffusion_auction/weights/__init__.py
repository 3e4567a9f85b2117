"""Weights by their names on the hub: find them, check access, download and verify them."""
