"""Find out by trying what agents can reach behind each tier of walls, and compare it with a reviewed list."""
