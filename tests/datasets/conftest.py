import pytest
from mmengine.registry import init_default_scope


@pytest.fixture(autouse=True)
def default_scope():
    """Let bare names resolve, as default_runtime.py does for configs."""
    init_default_scope('mmaction')
