"""Turn torchvision's r3d_18 checkpoint into one for our backbone.

Usage: python tools/convert/r3d18.py r3d_18-b3b3357e.pth r3d18_k400.pth
Then:  python tools/train.py configs/micacl_dfew.py \
           --cfg-options model.backbone.pretrained=r3d18_k400.pth
"""

import argparse

import torch

from micacl_mm.models.convert import convert_r3d18


def main() -> None:
    """Convert one file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument('source', help="torchvision's r3d_18 checkpoint")
    parser.add_argument('target', help='file to write')
    arguments = parser.parse_args()
    state = torch.load(arguments.source, map_location='cpu', weights_only=True)
    converted = convert_r3d18(state)
    torch.save({'state_dict': converted}, arguments.target)
    print(f'{len(converted)} tensors written to {arguments.target}')


if __name__ == '__main__':
    main()
