"""What MMAction2's metrics do not give."""

from .recall_metric import RecallMetric

__all__ = ['RecallMetric']
