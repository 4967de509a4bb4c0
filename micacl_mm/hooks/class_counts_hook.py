"""Class counts of the training set, carried to whoever asks for them."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from micacl_mm.errors import DataError
from micacl_mm.records.weights import bare_model
from micacl_mm.registry import HOOKS
from micacl_mm.utils.datasets import distinct_labels


def count_classes(dataset, num_classes: int) -> list[int]:
    """Count the videos of each class, looking through wrappers.

    Wrappers that show a video more often do not change how many there are.

    Raises:
        DataError: A label outside of [0, K), or labels that are no integers.
    """
    counts = [0] * num_classes
    labels = distinct_labels(dataset, 'ClassCountsHook')
    for index, label in enumerate(labels):
        if not 0 <= label < num_classes:
            raise DataError(
                f'ClassCountsHook: video {index} has the label {label}, which '
                f'is no class of {num_classes}',
                'make num_classes and the annotation agree, or give '
                'class_counts to the loss',
            )
        counts[label] += 1
    return counts


@HOOKS.register_module()
class ClassCountsHook(Hook):
    """Tells the model how many training videos each class has.

    Before training, every module with a method ``set_class_counts`` and an
    attribute ``num_classes`` (:class:`MCCLLoss`) gets the counts of the
    training set. They travel on in the checkpoint, as a buffer of the loss.
    """

    def before_train(self, runner: Runner) -> None:
        """Read the training set once and hand the counts over."""
        model = bare_model(runner.model)
        takers = [
            module
            for module in model.modules()
            if hasattr(module, 'set_class_counts')
            and getattr(module, 'given_counts', None) is None
        ]
        for num_classes in {taker.num_classes for taker in takers}:
            counts = count_classes(
                runner.train_dataloader.dataset, num_classes
            )
            runner.logger.info(f'class counts of the training set: {counts}')
            for taker in takers:
                if taker.num_classes == num_classes:
                    taker.set_class_counts(counts)
