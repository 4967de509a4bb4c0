"""Split files of any content: clips of the set, or a documented error."""

import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.errors import MICACLError
from tests.sets import touch, write_dfew, write_ferv

from .profile import bounded, fuzzed

CODECS = ('utf-8', 'utf-8-sig', 'utf-16', 'latin-1', 'shift_jis')
ENDS = ('\n', '\r\n', '\r', '\n\n', '\x00\n', '\x0b', '\x85', '\u2028', '')
NAMES = (
    *('1', '2', '00001', '3.mp4', '0', '-1', '1e3', '٣', '²', '9' * 5000),
    *('..', '../1', '/etc/passwd', 'a/../../b', '~', '$HOME', '%d', 'C:\\x'),
    *('Action/Happy/0001', 'War/Sad/0002.mp4', 'action\\happy\\1', '\x00'),
    *('Action/../0001', '//0001', 'Action/Happy/' + 'x' * 300, '"1', "'"),
    *('=1+1', 'video_name', '\ufeff1', 'x' * 200_000, '"' + 'y' * 200_000),
)
LABELS = ('1', '7', '0', '8', '-1', '1.0', 'Happy', 'happy', 'Sad', 'nan')
LABELS += ('9' * 400, '', '١', 'inf', 'Happy,1', '"', '1;drop')
GAPS = (',', ' ', '\t', ', ', ';', '', ',,', '\xa0')
ROW = st.tuples(
    st.one_of(st.sampled_from(NAMES), st.text(max_size=8)),
    st.sampled_from(GAPS),
    st.one_of(st.sampled_from(LABELS), st.integers().map(str)),
    st.sampled_from(ENDS),
).map(''.join)
#: Files that are nearly right, some with every row twice.
ROWS = st.builds(
    lambda rows, times, codec: (''.join(rows) * times).encode(
        codec, 'replace'
    ),
    st.lists(ROW, max_size=8),
    st.integers(1, 2),
    st.sampled_from(CODECS),
)


def check(kind, root, real=os.path.realpath, **kwargs):
    """Load, and see that nothing but the documented comes of it."""
    try:
        # Unserialized, for MMEngine collects garbage where it serializes.
        kwargs |= dict(missing='drop', serialize_data=False)
        loaded = kind(str(root), pipeline=[], **kwargs)
    except (ValueError, OSError) as error:
        assert isinstance(error, MICACLError), repr(error)
        assert kind.__name__ in str(error), error
        assert len(str(error)) < 20_000  # nobody reads a whole broken file
        return
    inside = os.path.join(real(root), '')
    names = []
    for index in range(len(loaded)):
        info = loaded.get_data_info(index)
        path = real(info.get('frame_dir') or info['filename'])
        assert path.startswith(inside), path
        assert 0 <= info['label'] < len(loaded.metainfo['classes'])
        names.append(info['video_id'].lower())
    assert len(set(names)) == len(names) > 0


@pytest.mark.parametrize('kind', [DFEWDataset, FERV39kDataset])
def test_split_files(tmp_path, kind):
    root = tmp_path / 'set'
    if kind is DFEWDataset:
        file = write_dfew(root, [(1, 1), (2, 2), (3, 1)])
    else:
        clips = ['Action/Happy/0001', 'War/Sad/0002', 'War/Happy/0003']
        file = write_ferv(root, clips)
    touch(tmp_path / 'outside/00009/1.jpg')
    good = file.read_bytes()

    @given(st.one_of(st.binary(max_size=400), ROWS, ROWS))
    @example(b'\xff\xfe1\x00')
    @example(good + good)
    @example(b'\xef\xbb\xbf' + good.replace(b'\n', b'\r\n'))
    @example(good.replace(b'1', b'\x00'))
    @example(b'x' * 200_000 + b',1\n')
    @fuzzed(40)
    def split_files(content):
        file.write_bytes(content)
        with bounded():
            check(kind, root)

    split_files()
    file.write_bytes(good)
    assert len(kind(str(root), pipeline=[])) == 3
    with file.open('r+b') as stream:
        stream.truncate(2**40)  # a hole, which takes no room on the disk
    with pytest.raises(ValueError, match=f'{kind.__name__}: .* MiB'):
        kind(str(root), pipeline=[])
