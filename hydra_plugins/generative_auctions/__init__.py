"""The plugins of this project, which Hydra finds in its namespace package `hydra_plugins`."""
