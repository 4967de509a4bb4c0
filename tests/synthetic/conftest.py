import pytest

from micacl_mm.synthetic import make_synthetic, writer

DFEW = dict(num_clips=40, seed=3, size=32, test_per_class=2, videos=True)
FERV39K = dict(num_clips=30, seed=3, size=32, test_per_class=2, videos=True)


@pytest.fixture(scope='session')
def dfew(tmp_path_factory):
    root = tmp_path_factory.mktemp('dfew') / 'set'
    return root, make_synthetic(root, workers=2, **DFEW)


@pytest.fixture(scope='session')
def ferv39k(tmp_path_factory):
    root = tmp_path_factory.mktemp('ferv39k') / 'set'
    return root, make_synthetic(root, layout='ferv39k', **FERV39K)


@pytest.fixture
def no_clips(monkeypatch):
    """Everything of a run but the drawing, which takes the time."""
    monkeypatch.setattr(writer, '_draw', lambda *args: 0)
