"""How far a linear classifier gets on the mean frame of each clip.

A set on which this does well gives its classes away without any motion.
"""

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np

CLASSES = ('Happy', 'Sad', 'Neutral', 'Angry', 'Surprise', 'Disgust', 'Fear')
PENALTIES = (1e1, 1e2, 1e3, 1e4, 1e5)


def read_split(root: Path, split: str, fold: int) -> list[tuple[Path, int]]:
    """Frame folder and label (0 to 6) of each clip of a split."""
    dfew = root / 'EmoLabel_DataSplit' / f'{split}(single-labeled)'
    ferv = root / '4_setups' / 'All_scenes' / f'{split}_All.csv'
    if dfew.is_dir():
        rows = (dfew / f'set_{fold}.csv').read_text().split()[1:]
        pairs = [map(int, row.split(',')) for row in rows]
        frames = root / 'Clip' / 'clip_224x224'
        return [(frames / f'{n:05d}', label - 1) for n, label in pairs]
    if ferv.is_file():
        rows = [row.split(' ') for row in ferv.read_text().splitlines()]
        frames = root / '2_ClipsforFaceCrop'
        return [(frames / name, CLASSES.index(label)) for name, label in rows]
    raise FileNotFoundError(
        f'linear_probe: neither {dfew} nor {ferv} is there; ROOT must be a '
        "set in DFEW's or FERV39k's layout"
    )


def mean_frames(
    clips: list[tuple[Path, int]], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean frame of each clip as a row of pixels, and the labels."""
    rows = []
    for folder, _ in clips:
        images = [cv2.imread(str(p)) for p in sorted(folder.glob('*.jpg'))]
        if not images:
            raise FileNotFoundError(f'linear_probe: no frames in {folder}')
        mean = np.mean(images, axis=0, dtype=np.float32)
        small = cv2.resize(mean, (size, size), interpolation=cv2.INTER_AREA)
        rows.append(small.ravel())
    return np.stack(rows), np.array([label for _, label in clips])


def ridge_scores(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, penalty: float
) -> np.ndarray:
    """Scores of a ridge classifier in which each class weighs the same."""
    centre, spread = train.mean(0), train.std(0) + 1e-6
    train, test = (train - centre) / spread, (test - centre) / spread
    target = 2.0 * (labels[:, None] == np.arange(len(CLASSES))) - 1
    counts = np.bincount(labels, minlength=len(CLASSES))
    weight = np.sqrt(len(labels) / len(CLASSES) / counts[labels])[:, None]
    ones = np.ones((len(train), 1))
    x, y = weight * np.hstack([train, ones]), weight * target
    # The dual form: fewer clips than pixels.
    dual = np.linalg.solve(x @ x.T + penalty * np.eye(len(x)), y)
    return np.hstack([test, np.ones((len(test), 1))]) @ (x.T @ dual)


def probe(root: Path, fold: int = 1, size: int = 32) -> dict[str, float]:
    """Fit on train, score on test, keep the penalty that tests best.

    Choosing on the test split flatters the classifier, so that the figure
    is rather too high than too low.

    Args:
        root (Path): A set in DFEW's or FERV39k's layout.
        fold (int): Fold of DFEW. Defaults to 1.
        size (int): Pixels a side of the mean frames. Defaults to 32.

    Returns:
        dict[str, float]: ``uar``, ``war`` and ``penalty``.
    """
    train, labels = mean_frames(read_split(root, 'train', fold), size)
    test, truth = mean_frames(read_split(root, 'test', fold), size)
    best = {'uar': -1.0}
    for penalty in PENALTIES:
        hit = ridge_scores(train, labels, test, penalty).argmax(1) == truth
        recalls = [hit[truth == c].mean() for c in np.unique(truth)]
        uar = float(np.mean(recalls))
        if uar > best['uar']:
            war = float(hit.mean())
            best = {'uar': uar, 'war': war, 'penalty': penalty}
    return best


def main(argv: list[str] | None = None) -> int:
    """Print UAR and WAR of the probe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('root', type=Path)
    parser.add_argument('--fold', type=int, default=1)
    parser.add_argument('--size', type=int, default=32)
    args = parser.parse_args(argv)
    try:
        best = probe(args.root, args.fold, args.size)
    except FileNotFoundError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(
        f'linear probe on mean frames: UAR {best["uar"]:.3f}, WAR '
        f'{best["war"]:.3f} (chance UAR {1 / len(CLASSES):.3f}, best of '
        f'{len(PENALTIES)} penalties)'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
