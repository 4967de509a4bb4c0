import gc
import os
import signal
from collections import Counter
from pathlib import Path

# Small models gain nothing from threads, and other files run beside them.
os.environ.setdefault('OMP_NUM_THREADS', '1')

import pytest

# Shells start background jobs deaf to Ctrl-C, which some tests send.
signal.signal(signal.SIGINT, signal.default_int_handler)

for name in [name for name in os.environ if name.startswith('MICACL_')]:
    del os.environ[name]  # settings of the user's shell


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """One file stays in one process: a worker takes seconds to start."""
    paths = {Path(argument.partition('::')[0]) for argument in config.args}
    if len(paths) == 1 and paths.pop().is_file():
        return 0
    return None  # pytest-xdist counts the cores


def pytest_pycollect_makemodule():
    """A test may import mmaction first, which fails where nobody repairs it.

    Not at the top: what hands the tests out to workers starts without torch.
    """
    import micacl_mm  # noqa: F401


def pytest_collection_modifyitems(items):
    """Long files go first, so that no worker ends long after the others."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    sizes = Counter(item.path for item in items)
    items.sort(key=lambda item: (item.path not in slow, -sizes[item.path]))


@pytest.fixture(autouse=True)
def _process_as_before():
    """Commands set options for those that they start, and ignore signals."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _seed():
    # Not above: what hands the tests out to workers starts without torch.
    import numpy as np
    import torch

    torch.manual_seed(0)
    np.random.seed(0)
    # Seconds that a data loader waits for each worker when it goes.
    torch.utils.data._utils.MP_STATUS_CHECK_INTERVAL = 0.2


@pytest.fixture(autouse=True, scope='module')
def _no_long_collections():
    """MMEngine collects garbage for each data set, of all that is imported."""
    gc.freeze()
    yield
    gc.unfreeze()
