"""Names of torchvision's video ResNets in terms of MMAction2's ResNet3d."""

import re
from collections.abc import Mapping

from torch import Tensor

_RULES = (
    (r'^stem\.0\.', 'conv1.conv.'),
    (r'^stem\.1\.', 'conv1.bn.'),
    (r'\.conv([12])\.0\.', r'.conv\1.conv.'),
    (r'\.conv([12])\.1\.', r'.conv\1.bn.'),
    (r'\.downsample\.0\.', '.downsample.conv.'),
    (r'\.downsample\.1\.', '.downsample.bn.'),
)


def convert_r3d18(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of torchvision's ``r3d_18``.

    Args:
        state (Mapping[str, Tensor]): Its state dict; the classifier ``fc`` is
            left out.

    Returns:
        dict[str, Tensor]: State dict for the backbone of
        ``configs/_base_/models/micacl_r3d18.py``.

    Raises:
        ValueError: ``state`` is no state dict of an ``r3d_18``.
    """
    # The other video ResNets have these names too, but flat kernels.
    last = state.get('layer4.1.conv2.0.weight')
    if (
        'stem.0.weight' not in state
        or last is None
        or (last.shape[2:] != (3, 3, 3))
    ):
        raise ValueError(
            'convert_r3d18: this is no checkpoint of torchvision r3d_18; '
            'expected keys such as stem.0.weight and layer4.1.conv2.0.weight, '
            f'got {sorted(state)[:3]}'
        )
    converted = {}
    for name, value in state.items():
        if name.startswith('fc.'):
            continue
        for pattern, replacement in _RULES:
            name = re.sub(pattern, replacement, name)
        converted[name] = value
    return converted
