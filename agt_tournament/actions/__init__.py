"""What each action of the command line does, one module each: run, game, validate, report, replay, sandbox_check."""
