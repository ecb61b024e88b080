"""Time two ways of doing one thing side by side, so that a busy machine slows both alike."""

import statistics
import time
from collections.abc import Callable


def time_s(function: Callable[[], object]) -> float:
    """Return how long one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(
    a: Callable[[], object],
    b: Callable[[], object],
    rounds: int = 9,
    *,
    num_images: int,
    names: tuple[str, str] = ("a", "b"),
) -> float:
    """Call a and b in turn, print both speeds and how many times as fast as b a is.

    Each call works on ``num_images`` images; both are called once before the clock runs. Returns
    the median of the rounds' ratios.
    """
    a()
    b()
    rates, ratios = ([], []), []
    for _ in range(rounds):
        times = time_s(a), time_s(b)
        ratios.append(times[1] / times[0])
        for rate, duration in zip(rates, times, strict=True):
            rate.append(num_images / duration)
    for name, rate in zip(names, rates, strict=True):
        print(f"{name:>40}: {statistics.median(rate):8,.0f} images/s, median of {rounds}")
    ratio = statistics.median(ratios)
    print(f"{'ratio':>40}: {ratio:8.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    return ratio
