"""When a process looks for objects that only refer to each other."""

import gc

_THRESHOLDS = (20_000, 10, 10)


def collect_seldom() -> None:
    """Look for garbage seldom, and never among what is there now. For processes that run for hours, once they are up.

    Python looks whenever 700 objects more were made than freed, which a hundred calls in flight do all the time: it
    costs a worker a fifth of its CPU and finds next to nothing. What is found later is a few megabytes at most.
    Source: the `gc` module of Python, `freeze` and `set_threshold`.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
