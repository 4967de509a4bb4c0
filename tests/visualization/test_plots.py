"""The pictures, by what is drawn on their axes."""

import numpy as np
import pytest
from matplotlib.colors import to_hex
from scipy import stats
from sklearn.decomposition import PCA

from micacl_mm.apis.features import BagFeatures
from micacl_mm.visualization import plots
from micacl_mm.visualization.plots import (
    head_to_tail,
    mark_of,
    plot_confusion,
    plot_curves,
    plot_features,
    plot_recall,
    project,
)
from micacl_mm.visualization.runs import Scalars

from .helpers import EMOTIONS, check_png, of_hits, result_of


@pytest.fixture
def drawn(monkeypatch):
    """Have the functions return figures instead of files."""
    monkeypatch.setattr(plots, 'save', lambda figure, _: figure)


def blobs(videos=30, channels=5):
    """Three groups far from each other."""
    labels = np.arange(videos) % 3
    noise = np.random.randn(videos, channels).astype(np.float32)
    return noise + 20 * np.eye(3, channels)[labels], labels


def bags_of(features, labels):
    return BagFeatures(features, labels, ['a', 'b', 'c'], 'somewhere')


def test_order_of_classes():
    assert head_to_tail('abc', [5, 9, 7]) == [1, 2, 0]
    found = [EMOTIONS[i] for i in head_to_tail(EMOTIONS, None, 'ferv39k')]
    assert found[0] == 'Neutral' and found[-1] == 'Fear'
    assert head_to_tail('cab') == [0, 1, 2]


def test_confusion_adds_the_runs(drawn, tmp_path):
    runs = [of_hits(9, 5, 1), of_hits(8, 2, 3, seed=1)]
    figure = plot_confusion(runs, None)
    expected = 5 * np.array([[17, 3, 0], [0, 7, 13], [16, 0, 4]])
    (image,) = figure.axes[0].images
    np.testing.assert_allclose(image.get_array(), expected)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == [f'{value}' for value in expected.ravel()]


@pytest.mark.parametrize(
    ('methods', 'counts'), [(1, None), (2, None), (10, [9, 5, 100])]
)
def test_pictures_of_recalls(tmp_path, methods, counts):
    # Of the third class there is no clip.
    tests = [
        result_of([[n, 10 - n, 0], [0, 10, 0], [0, 0, 0]], seed=n)
        for n in (2, 4, 9)
    ]
    found = {f'method {i}': tests for i in range(methods)}
    check_png(plot_recall(found, tmp_path / 'recall.png', counts))


def test_bars_stand_from_head_to_tail(drawn):
    one = [of_hits(1, 2, 3, seed=n) for n in (2, 4, 9)]
    several = [of_hits(n, 5, 9, seed=n) for n in (2, 4, 9)]
    found = {'one': one, 'several': several}
    (axes,) = plot_recall(found, None, [100, 10, 50]).axes
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == ['a\n100', 'c\n50', 'b\n10']
    bars = [bar for bar in axes.patches if bar.get_height()]
    middles = [bar.get_x() + bar.get_width() / 2 for bar in bars]
    assert [round(x) for x in middles] == [0, 1, 2] * 2
    heights = [bar.get_height() for bar in bars]
    assert heights == pytest.approx([10, 30, 20, 50, 90, 50])
    low, high = stats.t.interval(0.95, 2, 50, stats.sem([20, 40, 90]))
    line = axes.lines[3].get_ydata()
    assert list(line) == pytest.approx([max(0, low), min(100, high)])


def test_panels_of_curves(drawn, tmp_path):
    run = Scalars(
        'epoch',
        dict(loss=([1], [3.0]), loss_cls=([1], [2.0])),
        dict(UAR=([1], [0.2]), WAR=([1], [0.5])),
        dict(lr=([1], [0.1])),
    )
    axes = plot_curves([run, run], None, tested=1).axes
    assert [panel.get_title(loc='left') for panel in axes] == [
        'loss_cls',
        'UAR and WAR of each validation, %',
        'learning rate',
    ]
    uar, again, war = (line.get_xydata() for line in axes[1].lines[:3])
    assert uar.tolist() == again.tolist() == [[1, 20]]
    assert war.tolist() == [[1, 50]]


@pytest.mark.parametrize('shape', [(30, 5), (4, 9), (2, 2)])
def test_pca_equals_scikit_learn(shape):
    features = np.random.randn(*shape).astype(np.float32)
    points = project(features)
    pca = PCA(n_components=2, svd_solver='full')
    expected = pca.fit_transform(features)
    signs = np.sign((points * expected).sum(axis=0))
    np.testing.assert_allclose(points * signs, expected, atol=1e-4)


def test_tsne_keeps_groups_and_is_deterministic():
    features, labels = blobs()
    points = project(features, 'tsne')
    np.testing.assert_array_equal(points, project(features, 'tsne'))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).all()


@pytest.mark.parametrize(
    'features',
    [
        np.zeros((1, 4)),
        np.zeros((4, 1)),
        np.ones((4, 3)),
        np.full((4, 3), np.nan),
    ],
)
def test_features_that_cannot_be_drawn(features):
    with pytest.raises(ValueError, match='features: '):
        project(features)


def test_points_have_the_colour_of_their_class(drawn):
    features, labels = blobs()
    bags = bags_of(features, labels)
    (axes,) = plot_features(bags, None, counts=[1, 9, 5]).axes
    points = project(features)
    drawn = [found.get_label() for found in axes.collections]
    assert drawn == ['b (10)', 'c (10)', 'a (10)']  # the rarest on top
    for found, k in zip(axes.collections, (1, 2, 0), strict=True):
        np.testing.assert_allclose(found.get_offsets(), points[labels == k])
        color = to_hex(found.get_facecolors()[0]).upper()
        assert color == mark_of(k)['color']
