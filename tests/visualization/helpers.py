import json
from pathlib import Path

import numpy as np
import torch
from matplotlib.image import imread
from mmaction.structures import ActionDataSample
from torch.utils.data import Dataset

from micacl_mm.registry import DATASETS
from micacl_mm.visualization.runs import Result

LABELS = (0, 2, 1)
EMOTIONS = ('Happy', 'Sad', 'Neutral', 'Angry', 'Surprise', 'Disgust', 'Fear')


@DATASETS.register_module()
class Videos(Dataset):
    """Given tensors with given labels."""

    metainfo = dict(classes=('a', 'b', 'c'))

    def __init__(self, inputs, labels=LABELS, data_root=''):
        if isinstance(inputs, str):
            inputs = torch.load(Path(data_root, inputs))
        self.inputs, self.labels = inputs, labels

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        sample = ActionDataSample().set_gt_label(self.labels[index])
        return dict(inputs=self.inputs[index], data_samples=sample)


def check_png(path):
    """A picture of a sane size with something on it, and no leftovers."""
    image = imread(path)
    height, width = image.shape[:2]
    assert 300 < height < 3000 and 600 < width < 3000
    assert len(np.unique(image[::3, ::3, 0])) > 10
    assert not [p for p in path.parent.iterdir() if p.name.startswith('.')]


def record_of(matrix, classes=('a', 'b', 'c'), **more):
    """Record of a test, as short as the plots need it."""
    record = dict(
        schema=1,
        method='micacl',
        dataset='synthetic',
        config_hash='0123456789',
        seed=0,
        fold=1,
        subset=None,
        selection='val',
        sampling='16 frames, no chance',
        epoch=2,
        checkpoint='best.pth',
        classes=list(classes),
        confusion_matrix=np.asarray(matrix).tolist(),
    )
    return record | more


def write_run(folder, record=None, scalars=(), config=''):
    """Work directory of one training and one test of it."""
    trained, tested = folder / '20250101_000000', folder / '20250102_000000'
    (trained / 'vis_data').mkdir(parents=True)
    lines = '\n'.join(map(json.dumps, scalars))
    (trained / 'vis_data' / 'scalars.json').write_text(lines)
    (trained / 'vis_data' / 'config.py').write_text(config)
    (folder / 'micacl.py').write_text(config)
    if record:
        tested.mkdir()
        (tested / 'result.json').write_text(json.dumps(record))
    return folder


def result_of(matrix, classes=('a', 'b', 'c'), **more):
    return Result(tuple(classes), torch.tensor(matrix), record_of([], **more))


def of_hits(*hits, total=10, **more):
    """As many hits of each class; all misses go to the next class."""
    size = len(hits)
    matrix = torch.diag(torch.tensor(hits))
    for k, n in enumerate(hits):
        matrix[k, (k + 1) % size] = total - n
    return result_of(matrix.tolist(), **more)
