"""How far a linear classifier gets on the mean frame of each clip.

A set on which this does well gives its classes away without any motion. The
best of several penalties on the test split is kept, which flatters the probe.

  python tools/dev/linear_probe.py data/benchmark/medium
"""

import sys

import cv2
import numpy as np

from micacl_mm.datasets import DFEWDataset

SIZE, CLASSES = 32, 7
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


def ridge_scores(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, penalty: float
) -> np.ndarray:
    """Scores of a ridge classifier in which each class weighs the same."""
    centre, spread = train.mean(0), train.std(0) + 1e-6
    train, test = (train - centre) / spread, (test - centre) / spread
    target = 2.0 * (labels[:, None] == np.arange(CLASSES)) - 1
    counts = np.bincount(labels, minlength=CLASSES)
    weight = np.sqrt(len(labels) / CLASSES / counts[labels])[:, None]
    x = weight * np.hstack([train, np.ones((len(train), 1))])
    # The dual form: fewer clips than pixels.
    gram = x @ x.T + penalty * np.eye(len(x))
    dual = np.linalg.solve(gram, weight * target)
    return np.hstack([test, np.ones((len(test), 1))]) @ (x.T @ dual)


def probe(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray
) -> tuple[float, float]:
    """Fit on train, score on test: UAR and WAR of the best penalty."""
    found = []
    for penalty in PENALTIES:
        hit = ridge_scores(train, labels, test, penalty).argmax(1) == truth
        recalls = [hit[truth == c].mean() for c in np.unique(truth)]
        found.append((float(np.mean(recalls)), float(hit.mean())))
    return max(found)


def main(root: str) -> None:
    """Print UAR and WAR of the probe on fold 1."""
    arrays = []
    for split in ('train', 'test'):
        arrays += mean_frames(DFEWDataset(root, pipeline=[], split=split))
    uar, war = probe(*arrays)
    print(f'linear probe on mean frames: UAR {uar:.3f}, WAR {war:.3f}')


if __name__ == '__main__':
    main(sys.argv[1])
