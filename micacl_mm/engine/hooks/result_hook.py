"""The result of a test: a table, a JSON file and a picture."""

import json
import os
from pathlib import Path

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from micacl_mm.evaluation import RecallMetric
from micacl_mm.registry import HOOKS


def format_table(classes: list[str], matrix: torch.Tensor) -> str:
    """Lay out UAR, WAR and the recall of each class as text."""
    metrics = RecallMetric.summarise(matrix, classes)
    clips = dict(zip(classes, matrix.sum(dim=1).tolist(), strict=True))
    rows = [(name, clips[name], f'recall/{name}') for name in classes]
    rows += [(name, int(matrix.sum()), name) for name in ('UAR', 'WAR')]
    width = max(5, *(len(name) for name, _, _ in rows))
    lines = [f'{"class":<{width}}  clips  recall %']
    for name, total, key in rows:
        value = f'{100 * metrics[key]:8.2f}' if total else f'{"-":>8}'
        lines.append(f'{name:<{width}}  {total:5d}  {value}')
    return '\n'.join(lines)


def plot_confusion(
    classes: list[str], matrix: torch.Tensor, path: Path
) -> None:
    """Save the confusion matrix, in percent of each true class, as PNG."""
    import matplotlib

    matplotlib.use('Agg', force=False)
    from matplotlib import pyplot as plt

    share = matrix / matrix.sum(dim=1, keepdim=True).clamp(min=1)
    percent = (100 * share).round().int()
    figure = RecallMetric.plot(
        percent, include_values=True, cmap='Blues', classes=classes, show=False
    )
    figure.axes[0].set_title('percent of each true class', pad=24)
    figure.savefig(path, dpi=100, bbox_inches='tight')
    plt.close(figure)


@HOOKS.register_module()
class ResultHook(Hook):
    """Prints and keeps the result of a test.

    At the end of a test that used :class:`RecallMetric` it logs a table and
    writes ``result.json`` and ``confusion_matrix.png`` beside the log of the
    run. All figures are of the one checkpoint that was tested.
    """

    @master_only
    def after_test_epoch(self, runner: Runner, metrics=None) -> None:
        """Write the result of the last test."""
        found = [
            metric
            for metric in runner.test_evaluator.metrics
            if isinstance(metric, RecallMetric) and metric.matrix is not None
        ]
        if not found:
            return
        classes, matrix = list(map(str, found[0].classes)), found[0].matrix
        folder = Path(runner.log_dir)
        plot_confusion(classes, matrix, folder / 'confusion_matrix.png')
        clips = matrix.sum(dim=1)
        # JSON has no nan: the recall of an absent class is null.
        figures = {
            name: None if value != value else value
            for name, value in (metrics or {}).items()
        }
        result = {
            'config': runner.cfg.filename,
            'checkpoint': runner.cfg.get('load_from'),
            'clips': int(clips.sum()),
            'classes': classes,
            'clips_per_class': clips.tolist(),
            'metrics': figures,
            'confusion_matrix': matrix.tolist(),
        }
        path = folder / 'result.json'
        partial = path.with_suffix('.tmp')
        partial.write_text(json.dumps(result, indent=2) + '\n')
        os.replace(partial, path)
        runner.logger.info(
            f'result of {result["checkpoint"]}\n'
            f'{format_table(classes, matrix)}\nwritten to {folder}'
        )
