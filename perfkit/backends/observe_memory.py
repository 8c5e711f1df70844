"""Count what any code in this process allocates, in a pass of its own: it slows the code down.

| work        | witness                                    | exact                          |
|-------------|--------------------------------------------|--------------------------------|
| allocations | memray, where it is installed, else absent | in processes that begin alike  |
| peak_memory | memray, else tracemalloc                   | but for a few hundred bytes    |

Python allocates when a function runs for the first time, and again when it is traced for the first
time; so the figure of one block depends on what the process did before, by a few allocations.
memray also sees what native code allocates, tracemalloc what goes through Python's allocators.
"""

from __future__ import annotations

import gc
import tempfile
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perfkit.model import Tally


@contextmanager
def allocating() -> Iterator[dict[str, Tally]]:
    """Count `allocations` and `peak_memory`, the bytes above the start; filled at the end.

    All threads count.
    """
    work: dict[str, Tally] = {}
    try:
        import memray
    except ImportError:
        with _traced(work):
            yield work
        return
    with tempfile.TemporaryDirectory(prefix="perfkit-") as folder:
        # The first tracker of a process also sees what its own first use allocates.
        with memray.Tracker(Path(folder) / "warm-up", trace_python_allocators=True):
            pass
        file = Path(folder) / "allocations"
        # Else the code might use again what was free already, or not.
        gc.collect()
        with memray.Tracker(file, trace_python_allocators=True):
            yield work
        # Not the file's own total, which counts what is freed as well.
        freed = {
            memray.AllocatorType.FREE,
            memray.AllocatorType.PYMALLOC_FREE,
            memray.AllocatorType.MUNMAP,
        }
        with memray.FileReader(file) as seen:
            records = seen.get_allocation_records()
            made = sum(record.allocator not in freed for record in records)
            work["allocations"] = Tally(made, "memray")
            work["peak_memory"] = Tally(seen.metadata.peak_memory, "memray")


@contextmanager
def _traced(work: dict[str, Tally]) -> Iterator[None]:
    """Use Python's own tracer, which somebody else may have started already."""
    gc.collect()
    ours = not tracemalloc.is_tracing()
    if ours:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    try:
        yield
    finally:
        _, peak = tracemalloc.get_traced_memory()
        if ours:
            tracemalloc.stop()
        work["peak_memory"] = Tally(peak - before, "tracemalloc")
