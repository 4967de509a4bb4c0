import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def _scope():
    # A Runner builds everything in this scope, MMPretrain's models, too.
    with DefaultScope.overwrite_default_scope('mmaction'):
        yield
