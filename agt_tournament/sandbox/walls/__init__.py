"""The walls around an agent's process: namespaces or Landlock, system-call filter, memory limit."""
