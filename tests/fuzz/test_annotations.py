"""Split files of any content: clips of the set, or a documented error."""

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from micacl_mm.datasets import DFEWDataset, FERV39kDataset
from micacl_mm.errors import MICACLError
from tests.sets import write_dfew, write_ferv

from .profile import fuzzed

#: What the docstrings of the data sets say.
DOCUMENTED = (ValueError, FileNotFoundError, OSError)
CODECS = ('utf-8', 'utf-8-sig', 'utf-16', 'latin-1', 'cp1252', 'shift_jis')
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


def rows():
    """Files that are nearly right."""
    row = st.tuples(
        st.one_of(st.sampled_from(NAMES), st.text(max_size=8)),
        st.sampled_from(GAPS),
        st.one_of(st.sampled_from(LABELS), st.integers().map(str)),
        st.sampled_from(ENDS),
    ).map(''.join)
    parts = st.lists(row, max_size=8)
    text = st.tuples(parts, st.integers(1, 2)).map(
        lambda p: ''.join(p[0] * p[1])
    )

    def encode(pair):
        return pair[0].encode(pair[1], 'replace')

    return st.tuples(text, st.sampled_from(CODECS)).map(encode)


CONTENT = st.one_of(st.binary(max_size=400), rows(), rows())


def sets(folder, kind):
    """A set, its class and its split file."""
    root = folder / kind.__name__
    if kind is DFEWDataset:
        file = write_dfew(root, [(1, 1), (2, 2), (3, 1)])
    else:
        clips = ['Action/Happy/0001', 'War/Sad/0002', 'War/Happy/0003']
        file = write_ferv(root, clips)
    outside = folder / 'outside/00009'
    outside.mkdir(parents=True, exist_ok=True)
    (outside / '1.jpg').write_bytes(b'x')
    return root, file


def check(kind, root, real=os.path.realpath, **kwargs):
    """Load, and see that nothing but the documented comes of it."""
    try:
        # Unserialized, for MMEngine collects garbage where it serializes.
        loaded = kind(
            str(root),
            pipeline=[],
            missing='drop',
            serialize_data=False,
            **kwargs,
        )
    except DOCUMENTED as error:
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
def test_split_files(tmp_path_factory, kind):
    root, file = sets(tmp_path_factory.mktemp('set'), kind)
    good = file.read_bytes()

    @given(CONTENT)
    @example(b'\xff\xfe1\x00')
    @example(b'')
    @example(good)
    @example(good + good)
    @example(b'\xef\xbb\xbf' + good.replace(b'\n', b'\r\n'))
    @example(good.replace(b'1', b'\x00'))
    @example(b'x' * 200_000 + b',1\n')
    @fuzzed(40)
    def split_files(content):
        file.write_bytes(content)
        check(kind, root)

    split_files()
    file.write_bytes(good)
    assert len(kind(str(root), pipeline=[])) == 3


@pytest.mark.parametrize('kind', [DFEWDataset, FERV39kDataset])
def test_files_that_cannot_be_read(tmp_path, monkeypatch, kind):
    root, file = sets(tmp_path, kind)

    def refuse(path, *args, **kwargs):
        if Path(path) == file:
            raise PermissionError(13, 'Permission denied', str(path))
        return open(path, *args, **kwargs)

    monkeypatch.setattr(
        'micacl_mm.datasets.splits.open', refuse, raising=False
    )
    with pytest.raises(PermissionError, match='Permission denied'):
        kind(str(root), pipeline=[])


@pytest.mark.parametrize('kind', [DFEWDataset, FERV39kDataset])
def test_a_split_file_of_any_size_is_not_read(tmp_path, kind):
    root, file = sets(tmp_path, kind)
    with file.open('r+b') as stream:
        stream.truncate(2**40)  # a hole, which takes no room on the disk
    with pytest.raises(ValueError, match=f'{kind.__name__}: .* MiB'):
        kind(str(root), pipeline=[])
