"""The ground that both applications and the launchers stand on; it knows neither of them.

Import from its modules, for some of them are heavy: `command_line` and `naming` need Hydra, `plotting` Matplotlib,
`page` Jinja.
"""
