"""Processes that measure searches side by side."""

import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context


def one_thread_each(n_processes: int) -> ProcessPoolExecutor:
    """Return a pool whose processes use one thread for matrices each, as the program itself does.

    With more, those of small matrices wait for each other: on two cores everything takes twelve times as long.
    """
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    return ProcessPoolExecutor(n_processes, mp_context=get_context("spawn"))
