"""What each `action` of the command line does."""
