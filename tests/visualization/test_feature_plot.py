import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex
from sklearn.decomposition import PCA

from micacl_mm.visualization import feature_plot
from micacl_mm.visualization.feature_plot import (
    plot_features,
    project_pca,
    project_tsne,
)
from micacl_mm.visualization.features import BagFeatures
from micacl_mm.visualization.style import mark_of

from .helpers import check_png


def blobs(videos=30, channels=5):
    """Three groups far from each other."""
    labels = np.arange(videos) % 3
    noise = np.random.randn(videos, channels).astype(np.float32)
    return noise + 20 * np.eye(3, channels)[labels], labels


def bags_of(features, labels):
    return BagFeatures(features, labels, ['a', 'b', 'c'], 'somewhere')


@pytest.mark.parametrize('shape', [(30, 5), (4, 9), (2, 2)])
def test_pca_is_that_of_scikit_learn(shape):
    features = np.random.randn(*shape).astype(np.float32)
    points, shares = project_pca(features)
    pca = PCA(n_components=2, svd_solver='full').fit(features)
    expected = pca.transform(features)
    signs = np.sign((points * expected).sum(axis=0))
    np.testing.assert_allclose(points * signs, expected, atol=1e-4)
    np.testing.assert_allclose(
        shares, pca.explained_variance_ratio_, atol=1e-6
    )


def test_tsne_keeps_groups_and_is_the_same_each_time():
    features, labels = blobs()
    points = project_tsne(features)
    np.testing.assert_array_equal(points, project_tsne(features))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).all()
    assert project_tsne(features[:2]).shape == (2, 2)


def test_tsne_without_scikit_learn_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.manifold', None)
    with pytest.raises(ImportError, match='pip install scikit-learn'):
        project_tsne(blobs()[0])


@pytest.mark.parametrize(
    ('features', 'words'),
    [
        (np.zeros((1, 4)), 'at least two videos'),
        (np.zeros((4, 1)), 'at least two videos'),
        (np.ones((4, 3)), 'the same feature'),
        (np.full((4, 3), np.nan), 'not finite'),
    ],
)
def test_features_that_make_no_picture(features, words):
    for project in (project_pca, project_tsne):
        with pytest.raises(ValueError, match=words):
            project(features)


@pytest.mark.parametrize('method', ['pca', 'tsne'])
def test_picture(tmp_path, method):
    features, labels = blobs()
    labels[labels == 2] = 1  # a class without a video
    path = tmp_path / 'new' / 'features.png'
    made = plot_features(bags_of(features, labels), path, method, 'title')
    assert made == path
    check_png(path)


def test_points_have_the_colour_of_their_class(monkeypatch):
    monkeypatch.setattr(feature_plot, 'save', lambda figure, _: figure)
    features, labels = blobs()
    (axes,) = plot_features(
        bags_of(features, labels), None, counts=[1, 9, 5]
    ).axes
    points, _ = project_pca(features)
    drawn = [found.get_label() for found in axes.collections]
    assert drawn == ['b (10)', 'c (10)', 'a (10)']  # the rarest on top
    for found, k in zip(axes.collections, (1, 2, 0), strict=True):
        np.testing.assert_allclose(found.get_offsets(), points[labels == k])
        color = to_hex(found.get_facecolors()[0]).upper()
        assert color == mark_of(k)['color']
