import gc

import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True)
def default_scope():
    """Let bare names resolve, as default_runtime.py does for configs."""
    init_default_scope('mmaction')


@pytest.fixture(autouse=True, scope='package')
def frozen_imports():
    """Spare MMEngine's collection per dataset the walk over all of torch."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
