"""A competition: who takes part, which stages of games they play, and the standings."""
