import os

import pytest

from micacl_mm.doctor import clips

from .bench import in_this_process


@pytest.fixture
def alone(monkeypatch):
    """No other process, and no options of other tests."""
    monkeypatch.setattr(os, 'environ', dict(os.environ))
    monkeypatch.setattr(clips, 'run_all', in_this_process)
