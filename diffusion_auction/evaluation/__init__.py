"""Metrics of recorded scores: monotonicity, welfare, truthfulness, revenue, quality. Never imports torch."""
