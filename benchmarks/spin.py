"""About ten milliseconds of pure Python: the function that the benchmarks time."""

STEPS = 400_000


def spin() -> int:
    """Add numbers up, without a call or an allocation that outlives the loop."""
    total = 0
    for step in range(STEPS):
        total += step & 7
    return total
