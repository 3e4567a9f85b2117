"""`make bench`: what is worth timing, as ratios within one run; each line says what it is held against."""

from __future__ import annotations

import sys

from tests.benchmarks import images, launching, tournament


def main() -> int:
    """Print every benchmark, or those of the parts named as arguments; exit status 1 if one breaks its bounds."""
    parts = {"launching": launching.main, "tournament": tournament.main, "images": images.main}
    return max(parts[name]() for name in sys.argv[1:] or parts)


if __name__ == "__main__":
    sys.exit(main())
