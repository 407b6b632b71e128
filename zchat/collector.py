"""Keeps Python's garbage collector out of the way of a server's requests."""

import gc


def calm_collector(objects: int) -> None:
    """Let the collector pass over what lives as long as the process.

    From then on it looks whenever `objects` more than before are there:
    requests leave no cycles behind (docs/explanation/performance.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(objects, 20, 50)
