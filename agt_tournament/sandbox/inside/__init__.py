"""What runs inside an agent's process: it needs nothing but the standard library."""
