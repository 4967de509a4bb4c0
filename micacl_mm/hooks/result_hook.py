"""The result of a test: a table, a JSON file and a picture."""

from pathlib import Path
from typing import Any, Optional

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from micacl_mm.errors import ConfigError
from micacl_mm.evaluation import RecallMetric
from micacl_mm.records.record import (
    FILE_NAME,
    collect_record,
    write_record,
)
from micacl_mm.records.training import FACTS, Training, training_facts
from micacl_mm.records.weights import (
    bare_model,
    check_classes,
    check_fit,
    num_instances_of,
)
from micacl_mm.registry import HOOKS
from micacl_mm.utils.datasets import unwrap

from .class_counts_hook import count_classes
from .logit_adjustment_hook import LogitAdjustmentHook


def format_table(classes: list[str], matrix: torch.Tensor) -> str:
    """Lay out the scores of each class, UAR, WAR and macro-F1, in percent."""
    metrics = RecallMetric.summarise(matrix, classes)
    width = max(map(len, ('class', *classes)))
    lines = [f'{"class":<{width}}  clips  recall  precision      F1']
    scores = torch.stack(RecallMetric.per_class(matrix), dim=1).tolist()
    clips = matrix.sum(dim=1).tolist()
    for name, total, values in zip(classes, clips, scores, strict=True):
        cells = ['-' if v != v else f'{100 * v:.2f}' for v in values]
        lines.append(
            f'{name:<{width}}  {total:5d}  {cells[0]:>6}  {cells[1]:>9}  '
            f'{cells[2]:>6}'
        )
    lines.append(
        f'{sum(clips)} clips, percent: UAR {100 * metrics["UAR"]:.2f}, '
        f'WAR {100 * metrics["WAR"]:.2f}, F1 {100 * metrics["F1"]:.2f}'
    )
    return '\n'.join(lines)


def _known_counts(dataset: Any) -> Optional[list[int]]:
    """Training videos of each class; None where they have no single label."""
    classes = getattr(dataset, 'metainfo', {}).get('classes')
    try:
        return count_classes(dataset, len(classes)) if classes else None
    except (AttributeError, KeyError, TypeError, ValueError):
        return None  # a guest's set


@HOOKS.register_module()
class ResultHook(Hook):
    """Prints and keeps the result of a test.

    At the end of a test that used :class:`RecallMetric` it logs a table and
    writes ``result.json`` and ``confusion_matrix.png`` beside the log of the
    run. All figures are of the one checkpoint that was tested.

    ``result.json`` is the run's record, see docs/evaluation.md: with the
    result go the training that the checkpoint tells of, the way in which it
    was chosen, the size of the model and the machine.
    """

    def __init__(self) -> None:
        self._meta: Optional[dict] = None
        self._misfit: Optional[ConfigError] = None
        self._facts: dict = {}
        self._trained = False

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse a checkpoint of another model; keep what it says.

        A training may start from weights of which a part fits; to resume
        and to test, all must.
        """
        self._meta, self._trained = checkpoint.get('meta'), False
        self._misfit = None
        try:
            check_fit(runner.model, checkpoint)
        except ConfigError as error:
            if runner.cfg.get('resume'):
                raise
            check_fit(runner.model, checkpoint, partly=True)
            self._misfit = error

    def after_train(self, runner: Runner) -> None:
        """From here on the weights are those of this very training."""
        self._trained = True

    def before_train(self, runner: Runner) -> None:
        """Describe the training; a resumed one must keep its data."""
        dataset, before = runner.train_dataloader.dataset, None
        if runner.iter > 0:  # else weights to start from, of any classes
            before = self._meta
            check_classes(before, dataset)
        counts = _known_counts(dataset)
        self._facts = training_facts(runner.cfg, dataset, counts, before)
        Training.from_meta(before).check_resumed(self._facts)
        size = num_instances_of(bare_model(runner.model))
        self._facts['num_instances'] = size

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep the description of the training."""
        checkpoint['meta'][FACTS] = self._facts

    def before_test(self, runner: Runner) -> None:
        """See that weights and classes are those of model and set."""
        if self._trained:
            return
        if self._misfit is not None:
            raise self._misfit
        check_classes(self._meta, runner.test_dataloader.dataset)

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
        folder, dataset = Path(runner.log_dir), runner.test_dataloader.dataset
        meta, tested = self._meta, runner.cfg.get('load_from')
        if self._trained:
            now = dict(seed=runner.seed, epoch=runner.epoch, iter=runner.iter)
            meta, tested = {**now, FACTS: self._facts}, None
        training = Training.from_meta(meta)
        record = collect_record(
            runner.cfg,
            dataset,
            training,
            tested,
            classes,
            matrix,
            metrics or {},
        )
        record['missing'] = found[0].missing
        for hook in runner.hooks:
            if isinstance(hook, LogitAdjustmentHook) and hook.tau:
                record['logit_adjust'] = hook.tau
        parameters = bare_model(runner.model).parameters()
        record['parameters'] = sum(p.numel() for p in parameters)
        write_record(record, folder / FILE_NAME)
        # matplotlib is not needed before.
        from micacl_mm.visualization import plots, runs

        result = runs.Result(tuple(classes), matrix, {})
        plots.plot_confusion([result], folder / 'confusion_matrix.png')
        mismatch = training.mismatch(unwrap(dataset))
        if mismatch:
            runner.logger.warning(mismatch)
        if record['dropped']:
            runner.logger.warning(
                f'{record["dropped"]} clips of the test split were left out; '
                'the record says so'
            )
        runner.logger.info(
            f'result of {record["checkpoint"]}\n'
            f'{format_table(classes, matrix)}\nwritten to {folder}'
        )
