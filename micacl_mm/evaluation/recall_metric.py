"""UAR, WAR, recall, precision and F1 from one confusion matrix."""

import logging
from collections.abc import Sequence
from typing import NamedTuple, Optional

import torch
from mmaction.evaluation import ConfusionMatrix
from mmengine.logging import print_log
from torch import Tensor

from micacl_mm.errors import DataError
from micacl_mm.registry import METRICS


class ClassScores(NamedTuple):
    """Scores of each class, (K,), in [0, 1]."""

    #: nan for a class without clips.
    recall: Tensor
    #: nan for a class that is never predicted.
    precision: Tensor
    #: nan for a class without clips that is never predicted.
    f1: Tensor


@METRICS.register_module()
class RecallMetric(ConfusionMatrix):
    """Unweighted and weighted average recall, macro-F1 and class recalls.

    WAR is the accuracy. UAR is the mean of the recalls of the classes that
    occur in the split; MMAction2's ``mean_class_accuracy`` counts an absent
    class as 0 instead. F1 is the mean over the classes that occur or are
    predicted, as in scikit-learn. All come from one stock confusion matrix,
    which stays readable at :attr:`matrix`.

    Where clips of the set were not evaluated (unreadable ones, by
    :class:`~micacl_mm.hooks.SafeDataHook`, or the rest that ``drop_last``
    leaves), the log says how many, and ``missing_clips`` joins the metrics.

    Args:
        classes (Sequence[str], optional): Names for the log. Defaults to
            None, which takes them from the dataset, or numbers.
        collect_device (str): ``'cpu'`` or ``'gpu'``. Defaults to ``'cpu'``.
        prefix (str, optional): Defaults to None: ``'acc'``, as MMAction2's
            AccMetric has it.
    """

    default_prefix = 'acc'

    def __init__(
        self,
        classes: Optional[Sequence[str]] = None,
        collect_device: str = 'cpu',
        prefix: Optional[str] = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self._classes = classes
        #: Rows are the true classes, (K, K); None before an evaluation.
        self.matrix: Optional[Tensor] = None
        #: Clips of the set that the last evaluation did not cover.
        self.missing = 0
        self._size = 0

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        meta = self.dataset_meta or {}
        return list(
            self._classes or meta.get('classes') or range(self.num_classes)
        )

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Take one batch, without waiting for the device."""
        before = len(self.results)
        super().process(data_batch, data_samples)
        for result, sample in zip(
            self.results[before:], data_samples, strict=True
        ):
            # They stay in their places until all ranks are joined.
            result['missing'] = bool(sample.get('stand_in', False))
            result['finite'] = sample['pred_score'].isfinite().all()

    def evaluate(self, size: int) -> dict[str, float]:
        """Evaluate all that was processed, of a set of ``size`` clips."""
        self._size = size
        if self.results and self.collect_device == 'cpu':
            # MMEngine would wait for the device once for each clip.
            for name in ('pred_label', 'gt_label', 'finite'):
                column = torch.stack([r[name] for r in self.results]).cpu()
                for result, value in zip(self.results, column, strict=True):
                    result[name] = value
        return super().evaluate(size)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return UAR, WAR, F1 and ``recall/<class>``, all in [0, 1].

        And ``missing_clips``, a number, if there are.
        """
        covered = [r for r in results if not r.get('missing', False)]
        self.missing = max(self._size, len(results)) - len(covered)
        if not covered:
            raise DataError(
                f'RecallMetric: none of {self._size} clips could be evaluated',
                'check that the data are where the config says',
            )
        if not torch.stack([r['finite'] for r in covered]).all():
            raise DataError(
                'RecallMetric: the model predicts scores that are not finite, '
                'it has diverged',
                'lower the learning rate or go back to an earlier checkpoint',
            )
        self.matrix = super().compute_metrics(covered)['result']
        if len(self.classes) != len(self.matrix):
            raise DataError(
                f'RecallMetric: {len(self.classes)} names for '
                f'{len(self.matrix)} classes',
                'make num_classes of the head and the classes of the dataset '
                'agree',
            )
        metrics = self.summarise(self.matrix, self.classes)
        if self.missing:
            print_log(
                f'RecallMetric: {len(covered)} of '
                f'{len(covered) + self.missing} clips were evaluated: UAR, '
                'WAR and recalls are not of the whole set',
                logger='current',
                level=logging.WARNING,
            )
            metrics['missing_clips'] = self.missing
        return metrics

    @staticmethod
    def per_class(matrix: Tensor) -> ClassScores:
        """Return the scores of each class of a matrix, rows = truth."""
        hits = matrix.diag().double()
        truth, predicted = matrix.sum(dim=1), matrix.sum(dim=0)
        return ClassScores(
            hits / truth, hits / predicted, 2 * hits / (truth + predicted)
        )

    @classmethod
    def summarise(
        cls, matrix: Tensor, classes: Sequence[str]
    ) -> dict[str, float]:
        """Return the metrics of a confusion matrix (K, K), rows = truth."""
        scores = cls.per_class(matrix)
        recalls = scores.recall.tolist()
        return {
            'UAR': scores.recall.nanmean().item(),
            'WAR': (matrix.diag().sum().double() / matrix.sum()).item(),
            'F1': scores.f1.nanmean().item(),
            **{
                f'recall/{name}': recall
                for name, recall in zip(classes, recalls, strict=True)
            },
        }
