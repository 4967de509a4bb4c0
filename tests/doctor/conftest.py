import pytest

from micacl_mm.doctor import clips

from .bench import in_this_process


@pytest.fixture
def alone(monkeypatch):
    """Without other processes."""
    monkeypatch.setattr(clips, 'run_all', in_this_process)
