"""Whether a submission will do: `trial` plays it, `problems` and `cautions` say what to mend, `verdict` shows them."""
