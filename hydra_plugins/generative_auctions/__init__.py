"""What Hydra finds of this project by itself: `hydra_plugins` is its namespace package, without an `__init__.py`."""
