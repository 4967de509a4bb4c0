"""Confusion matrix of a method, over all of its runs."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import torch

from micacl_mm.hooks.result_hook import plot_confusion
from micacl_mm.records.statistics import pool
from micacl_mm.utils.files import replacing

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
    with replacing(path) as part, matplotlib.rc_context({'font.size': 15}):
        plot_confusion(list(results[0].classes), matrix, part)
    return path
