"""Score images: alignment with prompts, and quality."""
