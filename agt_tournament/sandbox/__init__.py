"""The two ends of the channel between the organiser and an agent's process."""
