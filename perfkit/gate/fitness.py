"""Whether a runner can be judged by at all: too busy is neither a pass nor a fail."""

from __future__ import annotations

from statistics import median

from perfkit.result import Noise
from perfkit.run import machine

CROWDED = 5.0
"""A fixed loop that mostly takes so many times its fastest shares its processor with as many."""
STOLEN = THROTTLED = 0.10
"""From this share of the run on, clocks tell more about the host than about the code."""


def unfit_before() -> str:
    """Return why this machine cannot be judged by now, or nothing; takes about 50 ms."""
    took = machine.burn_in()
    return _crowded(median(took) / min(took))


def unfit_after(noise: Noise) -> str:
    """Return why what was measured cannot be judged by, or nothing."""
    if noise.steal_share is not None and noise.steal_share > STOLEN:
        return f"the hypervisor gave {noise.steal_share:.0%} of the processors to others"
    if noise.throttled_share is not None and noise.throttled_share > THROTTLED:
        share = f"{noise.throttled_share:.0%}"
        return f"the container's processor limit held the run back for {share} of the time"
    return ""


def _crowded(crowding: float) -> str:
    if crowding <= CROWDED:
        return ""
    return f"about {crowding:.0f} programs compete for every processor"
