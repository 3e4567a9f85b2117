"""What the recorded scores show: monotonicity, welfare, truthfulness, quality. Never imports torch."""
