import pytest


@pytest.fixture(scope='session')
def clips(tmp_path_factory):
    from . import noise

    folder = tmp_path_factory.mktemp('noise')
    noise.draw(folder)
    return folder


@pytest.fixture
def spoilt(tmp_path):
    """Clips of which some are broken, and which."""
    from . import noise

    folder = tmp_path / 'spoilt'
    folder.mkdir()
    clips = noise.draw(folder)
    faults = {
        clips[1] / '002.jpg': lambda p: p.write_bytes(b''),
        clips[5] / '001.jpg': lambda p: p.unlink(),
        clips[9] / '000.jpg': lambda p: p.write_bytes(p.read_bytes()[:-50]),
    }
    for path, spoil in faults.items():
        for frame in path.parent.iterdir():  # whichever frames are drawn
            spoil(frame)
    return folder, [1, 5, 9]
