"""Agents that try the walls from inside; each module here is played as a submission of its own."""
