"""What runs inside an agent's process: the standard library alone."""
