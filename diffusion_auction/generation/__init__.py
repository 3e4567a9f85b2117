"""Plan the images of a run and make them."""
