"""How far a linear classifier gets on the mean frame of each clip.

A set on which this does well gives its classes away without any motion. The
best of several penalties on the test split is kept, which flatters the probe.

  python tools/dev/linear_probe.py data/benchmark/medium
"""

import sys

import cv2
import numpy as np
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from sklearn.preprocessing import StandardScaler

from micacl_mm.datasets import DFEWDataset

SIZE = 32
PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)


def mean_frames(dataset: DFEWDataset) -> tuple[np.ndarray, np.ndarray]:
    """Mean frame of each clip as a row of pixels, (N, D), and labels, (N,)."""
    rows, labels = [], []
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        images = [
            cv2.resize(
                cv2.imread(f'{info["frame_dir"]}/{name}').astype(np.float32),
                (SIZE, SIZE),
                interpolation=cv2.INTER_AREA,
            )
            for name in info['frames']
        ]
        rows.append(np.mean(images, axis=0).ravel())
        labels.append(info['label'])
    return np.stack(rows), np.array(labels)


def main(root: str) -> None:
    """Print UAR and WAR of the probe on fold 1."""
    train, labels, test, truth = (
        array
        for split in ('train', 'test')
        for array in mean_frames(DFEWDataset(root, pipeline=[], split=split))
    )
    scaler, figures = StandardScaler().fit(train), []
    train, test = (
        np.hstack([scaler.transform(x), np.ones((len(x), 1))])
        for x in (train, test)
    )
    for penalty in PENALTIES:
        ridge = RidgeClassifier(
            penalty, fit_intercept=False, class_weight='balanced'
        )
        found = truth, ridge.fit(train, labels).predict(test)
        pair = balanced_accuracy_score(*found), accuracy_score(*found)
        figures.append(pair)
    uar, war = max(figures)
    print(f'linear probe on mean frames: UAR {uar:.3f}, WAR {war:.3f}')


if __name__ == '__main__':
    main(sys.argv[1])
