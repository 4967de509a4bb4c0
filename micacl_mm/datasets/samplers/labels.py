"""The classes of a dataset's videos, for samplers."""

from numbers import Integral

from torch.utils.data import Dataset


def class_labels(dataset: Dataset, sampler: str) -> list[int]:
    """Return the class of each video.

    Args:
        dataset (Dataset): Any dataset of MMAction2 with one label a video,
            also in a wrapper of MMEngine.
        sampler (str): Who asks, for the message.

    Returns:
        list[int]: length ``len(dataset)``.

    Raises:
        ValueError: A label is no integer.
    """
    labels = []
    for index in range(len(dataset)):
        label = dataset.get_data_info(index)['label']
        if not isinstance(label, Integral):
            raise ValueError(
                f'{sampler}: video {index} has the label {label!r}, but each '
                'must be of one class, an integer; take DefaultSampler '
                'without a batch_sampler where a video has several'
            )
        labels.append(int(label))
    return labels
