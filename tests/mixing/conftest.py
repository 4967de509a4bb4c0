import pytest

from tests.sets import write_actions

from .examples import COUNTS, NAMES


@pytest.fixture(params=NAMES)
def name(request):
    if 'clip' in request.param:
        pytest.importorskip('mmpretrain')
    return request.param


@pytest.fixture(scope='session')
def actions(tmp_path_factory):
    pytest.importorskip('decord')
    root = tmp_path_factory.mktemp('actions')
    write_actions(root, train=COUNTS, val=(1, 1, 1), test=(2, 1, 1))
    return root
