"""Bag features in the plane, coloured by class."""

from pathlib import Path
from typing import Optional

import numpy as np
from matplotlib.axes import Axes

from .features import BagFeatures
from .style import FAINT, drawing, head_to_tail, mark_of, new_axes, save


def check_projection(method: str) -> None:
    """Find out before the features are made what they could not be for.

    Args:
        method (str): ``'pca'`` or ``'tsne'``.

    Raises:
        ImportError: t-SNE without scikit-learn.
    """
    if method == 'tsne':
        try:
            import sklearn.manifold  # noqa: F401
        except ImportError:
            raise ImportError(
                't-SNE needs scikit-learn; run: pip install scikit-learn (or '
                'plot with --features pca)'
            ) from None


def project_pca(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project on the two directions of greatest variance.

    Args:
        features (np.ndarray): (N, C), N and C at least 2.

    Returns:
        tuple[np.ndarray, np.ndarray]: Points (N, 2), and the share of the
        variance along each of the two axes, in [0, 1].

    Raises:
        ValueError: Fewer than two videos or channels, features that are all
            equal, or values that are not finite.
    """
    _check(features)
    centred = features.astype(np.float64) - features.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    return u[:, :2] * s[:2], s[:2] ** 2 / (s**2).sum()


def project_tsne(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """Lay out by t-SNE of scikit-learn, started from the PCA.

    Args:
        features (np.ndarray): (N, C), N and C at least 2.
        seed (int): Seed of its random numbers. Defaults to 0.

    Returns:
        np.ndarray: (N, 2); the axes have no meaning.

    Raises:
        ImportError: scikit-learn is not installed.
        ValueError: As in :func:`project_pca`.
    """
    check_projection('tsne')
    from sklearn.manifold import TSNE

    _check(features)
    # It must be below the number of videos; 30 is scikit-learn's own.
    perplexity = min(30, (len(features) - 1) / 3)
    return TSNE(
        perplexity=perplexity, init='pca', random_state=seed
    ).fit_transform(features)


def _check(features: np.ndarray) -> None:
    if features.ndim != 2 or min(features.shape) < 2:
        raise ValueError(
            'features: at least two videos and two channels are needed, got '
            f'an array of {features.shape}'
        )
    if not np.isfinite(features).all():
        raise ValueError(
            'features: some are not finite, the model has diverged; take '
            'another checkpoint'
        )
    if not np.ptp(features, axis=0).any():
        raise ValueError(
            'features: all videos have the same feature, the model tells '
            'nothing apart; take another checkpoint'
        )


@drawing
def plot_features(
    bags: BagFeatures,
    path: Path,
    method: str = 'pca',
    title: str = '',
    counts: Optional[list] = None,
) -> Path:
    """Draw each video as a point in the colour of its true class.

    Args:
        bags (BagFeatures): Features of the N videos of a split.
        path (Path): PNG to write.
        method (str): ``'pca'`` or ``'tsne'``. Defaults to ``'pca'``.
        title (str): Stands above. Defaults to ``''``.
        counts (list, optional): Training clips of each class, for the order
            of the legend. Defaults to None.

    Returns:
        Path: The written file.
    """
    # With more classes, marks repeat and a legend would tell nothing.
    columns = -(-len(bags.classes) // 20) if len(bags.classes) <= 49 else 0
    figure, axes = new_axes(4.9 + 1.7 * columns, 4.8)
    if method == 'pca':
        points, shares = project_pca(bags.features)
        axes.set_xlabel(f'1st component, {shares[0]:.0%} of the variance')
        axes.set_ylabel(f'2nd component, {shares[1]:.0%} of the variance')
    else:
        points = project_tsne(bags.features)
        axes.set_xlabel(
            't-SNE: neighbours are alike, far distances mean nothing'
        )
    _draw_classes(axes, points, bags, counts)
    axes.set_aspect('equal', adjustable='datalim')
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set(visible=True, color=FAINT)
    if columns:
        figure.legend(
            loc='outside right upper',
            markerscale=1.5,
            handletextpad=0.2,
            ncols=columns,
            title='true class (clips)',
        )
    return save(figure, path)


def _draw_classes(
    axes: Axes, points: np.ndarray, bags: BagFeatures, counts: Optional[list]
) -> None:
    """Add the points, those of rare classes on top."""
    for rank, k in enumerate(head_to_tail(bags.classes, counts)):
        mine = points[bags.labels == k]
        if not len(mine):
            continue
        axes.scatter(
            *mine.T,
            s=22,
            **mark_of(k),
            alpha=0.85,
            edgecolors='white',
            linewidths=0.4,
            zorder=2 + rank / 100,
            label=f'{bags.classes[k]} ({len(mine)})',
        )
