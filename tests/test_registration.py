"""Names resolve in a fresh process, bare and dotted."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

BARE = """
custom_imports = dict(imports=['micacl_mm'], allow_failed_imports=False)
default_scope = 'mmaction'
neck = dict(type='GEIIM', in_channels=8)
loss = dict(type='MCCLLoss', num_classes=7)
hook = dict(type='ClassCountsHook')
metric = dict(type='RecallMetric')
transform = dict(type='SampleInstances')
"""
DOTTED = """
default_scope = 'mmaction'
neck = dict(type='micacl_mm.GEIIM', in_channels=8)
loss = dict(type='micacl_mm.MCCLLoss', num_classes=7)
hook = dict(type='micacl_mm.ClassCountsHook')
metric = dict(type='micacl_mm.RecallMetric')
transform = dict(type='micacl_mm.SampleInstances')
"""
SCRIPT = """
import sys
from mmengine.config import Config
from mmengine.registry import init_default_scope
cfg = Config.fromfile(sys.argv[1])
assert ('micacl_mm' in sys.modules) == (sys.argv[2] == 'bare')
init_default_scope(cfg.default_scope)
if sys.argv[2] == 'dotted':
    # Stands for an MMAction2 whose localizers are complete: one from PyPI
    # cannot build any model before something mends it.
    import types
    for name in ('drn', 'drn.drn'):
        module = types.ModuleType('mmaction.models.localizers.' + name)
        module.__path__, module.DRN = [], object
        sys.modules[module.__name__] = module
from mmaction.registry import HOOKS, METRICS, MODELS, TRANSFORMS
for registry, key in (
    (MODELS, 'neck'), (MODELS, 'loss'), (HOOKS, 'hook'),
    (METRICS, 'metric'), (TRANSFORMS, 'transform'),
):
    print(type(registry.build(cfg[key])).__name__)
"""


@pytest.mark.parametrize(
    ('kind', 'text'), [('bare', BARE), ('dotted', DOTTED)]
)
def test_names_resolve_in_a_fresh_process(tmp_path, kind, text):
    config = tmp_path / 'config.py'
    config.write_text(text)
    found = subprocess.run(
        [sys.executable, '-c', SCRIPT, str(config), kind],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    names = found.stdout.split()[-5:]
    assert names == [
        'GEIIM',
        'MCCLLoss',
        'ClassCountsHook',
        'RecallMetric',
        'SampleInstances',
    ]


def test_names_stand_at_the_top():
    import micacl_mm

    for name in micacl_mm.__all__:
        assert getattr(micacl_mm, name) is not None
