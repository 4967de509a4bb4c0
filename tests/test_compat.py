import importlib.util
import os
import pickle
import struct
import subprocess
import sys
import types
from pathlib import Path

import mmaction.registry
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.registry import Registry

import micacl_mm
from micacl_mm import compat, environment

try:
    from numpy._core.multiarray import _reconstruct, scalar
except ImportError:
    from numpy.core.multiarray import _reconstruct, scalar


ROOT = Path(__file__).parents[1]


class Escape:
    """A pickle that reaches for a method nobody allowed."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, '__init__')


def test_own_message_hub_loads_with_weights_only(tmp_path):
    hub = MessageHub.get_instance('test_compat')
    for step in range(3):
        hub.update_scalar('train/loss', np.float32(step))
        hub.update_scalar('train/lr', torch.tensor(0.1 * step))
    hub.update_info('iter', np.int64(3))
    path = tmp_path / 'checkpoint.pth'
    torch.save(dict(message_hub=hub.state_dict(), epoch=1), path)
    loaded = torch.load(path, weights_only=True)['message_hub']
    buffer = loaded['log_scalars']['train/loss']
    assert isinstance(buffer, HistoryBuffer)
    assert buffer.mean(3) == pytest.approx(1)
    assert buffer.statistics('current') == 2


@pytest.mark.parametrize('code', ['f2', 'f4', 'f8', 'i4', 'i8', 'u1', 'b1'])
def test_numpy_values_load(tmp_path, code):
    path, value = tmp_path / 'x.pth', np.ones(2, code)
    torch.save([value, value[0]], path)
    array, scalar = torch.load(path, weights_only=True)
    assert np.array_equal(array, value) and scalar == value[0]


def test_getattr_reaches_no_further_than_statistics(tmp_path):
    path = tmp_path / 'evil.pth'
    torch.save(Escape(), path)
    with pytest.raises((pickle.UnpicklingError, ValueError), match='refused'):
        torch.load(path, weights_only=True)


class Call:
    """A pickle that calls something with arguments."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


POINTER = struct.pack('<q', id(os))
FIELDS = {'a': (Call(np.dtype, ('O',)), 0)}
FORGED = (3, '<', None, ('a',), FIELDS, 8, 8, 0)
VOID = Call(np.dtype, ('i8', False, True), FORGED)


@pytest.mark.parametrize(
    'forgery',
    [
        # Bytes read as a pointer to a Python object, in three ways.
        Call(
            _reconstruct,
            (np.ndarray, (0,), b'b'),
            (1, (1,), VOID, False, POINTER),
        ),
        Call(np.ndarray, ((1,), 'O', POINTER)),
        Call(scalar, (Call(np.dtype, ('O',)), POINTER)),
        Call(np.dtype, ('O',)),
        Call(np.dtype, ('V8',)),
    ],
)
def test_objects_cannot_be_forged(tmp_path, forgery):
    path = tmp_path / 'evil.pth'
    torch.save(dict(x=forgery), path)
    with pytest.raises((pickle.UnpicklingError, ValueError), match='refused'):
        torch.load(path, weights_only=True)


def test_missing_localizer_is_stubbed_only_where_missing():
    name = 'mmaction.models.localizers.drn'
    spec = importlib.util.find_spec('mmaction')
    folder = Path(spec.submodule_search_locations[0])
    missing = not (folder / 'models/localizers/drn').exists()
    module = sys.modules.get(name)
    assert missing == (getattr(module, '__file__', 'stub') == 'stub')
    if missing:
        from mmaction.models.localizers import DRN

        with pytest.raises(ImportError, match='git repository'):
            DRN()


@pytest.mark.parametrize('usable', [True, False])
def test_multimodal_is_off_only_where_it_would_break(monkeypatch, usable):
    names = ('mmaction', 'mmpretrain')
    flags = [types.ModuleType(f'{name}.utils.dependency') for name in names]
    for flag in flags:
        flag.WITH_MULTIMODAL = True
        monkeypatch.setitem(sys.modules, flag.__name__, flag)
    monkeypatch.setattr(compat.importlib.util, 'find_spec', lambda _: True)
    modeling = types.ModuleType('transformers.modeling_utils')
    for module in (types.ModuleType('transformers'), modeling):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    if usable:
        modeling.apply_chunking_to_forward = None
        compat.disable_multimodal()
    else:
        with pytest.warns(UserWarning, match='multimodal models .* are off'):
            compat.disable_multimodal()
    assert [flag.WITH_MULTIMODAL for flag in flags] == [usable] * 2
    # A package that is broken is left to those who use it.
    monkeypatch.setitem(sys.modules, flags[1].__name__, None)
    monkeypatch.setattr(flags[0], 'WITH_MULTIMODAL', False)
    compat.disable_multimodal()


def test_broken_torchvision_binary_gets_its_schemas(tmp_path):
    package = tmp_path / 'torchvision'
    package.mkdir()
    (package / '__init__.py').write_text('')
    (package / '_C.so').write_bytes(b'no library')
    code = (
        'import sys; sys.argv[0] = "micacl"; '  # does without the stack
        'import torch; from micacl_mm import compat; '
        'compat.declare_torchvision_ops(); '
        'print(torch.ops.torchvision.nms.default._schema)'
    )
    found = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            'PYTHONPATH': f'{tmp_path}:{Path(__file__).parents[1]}',
        },
    )
    assert 'iou_threshold' in found.stdout, found.stderr


@pytest.fixture
def versions(monkeypatch):
    table = {
        'torch': '2.13.0+cpu',
        'mmengine': '0.10.7',
        'mmcv-lite': '2.1.0',
        'mmaction2': '1.2.0',
    }

    def version(name):
        if name not in table:
            raise environment.metadata.PackageNotFoundError(name)
        return table[name]

    monkeypatch.setattr(environment.metadata, 'version', version)
    return table


def test_the_pins_are_accepted(versions):
    environment.check_versions()


@pytest.mark.parametrize(
    ('name', 'version', 'cure'),
    [
        ('mmcv-lite', '2.2.0', 'pip install mmcv-lite==2.1.0'),
        ('mmengine', '0.7.1', 'pip install mmengine==0.10.7'),
        ('torch', '1.13.1', 'pip install "torch>='),
        ('mmaction2', '0.24.1', 'pip install mmaction2==1.2.0'),
        ('mmengine', None, 'none is installed. Fix: run: pip install mmeng'),
        ('mmcv', '2.1.0', 'pip uninstall -y mmcv mmcv-lite'),
    ],
)
def test_wrong_or_missing_versions_name_the_cure(
    versions, name, version, cure
):
    versions[name] = version
    if version is None:
        del versions[name]
    with pytest.raises(ImportError) as error:
        environment.check_versions()
    assert cure in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('version', [(3, 9, 18), (3, 13, 0), (4, 0, 0)])
def test_other_pythons_are_refused(versions, monkeypatch, version):
    monkeypatch.setattr(environment.sys, 'version_info', version)
    with pytest.raises(ImportError, match='needs Python 3.10 to 3.12, but'):
        environment.check_versions()
    setup = (ROOT / 'setup.py').read_text()
    assert "python_requires='>=3.10,<3.13'" in setup


@pytest.mark.parametrize('module', ['pkg_resources', 'importlib_metadata'])
def test_modules_that_nobody_asks_for_are_named(versions, monkeypatch, module):
    found = environment.find_spec
    monkeypatch.setattr(
        environment,
        'find_spec',
        lambda name: None if name == module else found(name),
    )
    with pytest.raises(ImportError, match=f'{module}.* Fix: run: pip install'):
        environment.check_versions()


@pytest.mark.parametrize(('value', 'warns'), [('1', True), ('0', False)])
def test_a_shell_that_lets_checkpoints_run_code_is_told(
    monkeypatch, recwarn, value, warns
):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', value)
    compat.warn_of_unsafe_loading()
    assert len(recwarn) == warns


# ---- public names

REGISTRIES = [
    registry
    for registry in vars(mmaction.registry).values()
    if isinstance(registry, Registry)
]


@pytest.mark.parametrize(
    'name', [name for name in micacl_mm.__all__ if name[0].isupper()]
)
def test_bare_and_dotted_names_lead_to_one_class(name):
    public = getattr(micacl_mm, name)
    homes = [r for r in REGISTRIES if r.module_dict.get(name) is public]
    # Base classes, and one that MMAction2 has under the same bare name.
    unregistered = {'BaseBagNeck', 'BaseDFERDataset', 'ResNet3d'}
    assert len(homes) == (name not in unregistered)
    for registry in homes:
        assert registry.get(f'micacl_mm.{name}') is public
