import os

# Half of the cores: 3-D convolutions crawl when others use them too.
os.environ.setdefault('OMP_NUM_THREADS', str(max(1, os.cpu_count() // 2)))

import numpy as np
import pytest
import torch

import micacl_mm  # noqa: F401  registers everything

for name in [name for name in os.environ if name.startswith('MICACL_')]:
    del os.environ[name]  # settings of the user's shell


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
    np.random.seed(0)
