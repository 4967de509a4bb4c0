"""The public names, bare and dotted."""

import mmaction.registry
import pytest
from mmengine.registry import Registry

import micacl_mm

NAMES = [name for name in micacl_mm.__all__ if name[0].isupper()]
#: Base classes, and one that MMAction2 has under the same bare name.
UNREGISTERED = {'BaseBagNeck', 'BaseDFERDataset', 'ResNet3d'}
REGISTRIES = [
    registry
    for registry in vars(mmaction.registry).values()
    if isinstance(registry, Registry)
]


def test_there_are_names():
    assert len(NAMES) >= 13 and len(REGISTRIES) >= 20


@pytest.mark.parametrize('name', NAMES)
def test_bare_and_dotted_names_lead_to_one_class(name):
    public = getattr(micacl_mm, name)
    homes = [r for r in REGISTRIES if r.module_dict.get(name) is public]
    assert len(homes) == (name not in UNREGISTERED)
    for registry in homes:
        assert registry.get(f'micacl_mm.{name}') is public
