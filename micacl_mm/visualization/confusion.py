"""Confusion matrix of a method, over all of its runs."""

import os
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import torch

from micacl_mm.engine.hooks.result_hook import plot_confusion
from micacl_mm.leaderboard.statistics import pool

from .result import Result


def plot_pooled_confusion(results: Sequence[Result], path: Path) -> Path:
    """Draw the sum of the confusion matrices, in percent of each true class.

    Args:
        results (Sequence[Result]): Tests of the runs of one method.
        path (Path): PNG to write.

    Returns:
        Path: The written file.
    """
    matrix = torch.as_tensor(pool([r.matrix.numpy() for r in results]))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'.{os.getpid()}.{path.name}')
    try:
        with matplotlib.rc_context({'font.size': 15}):
            plot_confusion(list(results[0].classes), matrix, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
