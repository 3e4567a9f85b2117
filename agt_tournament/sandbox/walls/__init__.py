"""The walls around an agent's process, from outside: tiers, what may be read, system calls, control groups."""
