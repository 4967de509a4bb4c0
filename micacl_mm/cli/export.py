"""Write a trained model as a file that runs without this package.

  micacl export CONFIG CHECKPOINT
  micacl export CONFIG CHECKPOINT --format both --out DIR
  micacl export CONFIG CHECKPOINT --half

onnx is an ONNX file (.onnx), program one of torch.export (.pt2). Input frames
(N, views, C, T, H, W), uint8, RGB from 0 to 255; output scores (N, classes).
Each is run at batch sizes 1 and --batch-check before it is written, and
refused if a score differs from PyTorch's by more than 1e-4 or a predicted
class differs. --half writes ONNX in float16, NAME_fp16.onnx, half the size,
with a tolerance of 5e-3. By default files are written beside the checkpoint.
No data set is needed, unless the config finds its classes there: then add the
data options of the training (--data-root). More in docs/export.md.

Exit code: 0 all is written; 1 a model that cannot be exported, or a file with
other scores, which is not written; 2 wrong arguments or a missing package.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from micacl_mm.errors import ConfigError
from micacl_mm.options import find_config, take_options

from . import add_cfg_options, make_parser
from .launch import add_adjustment, check_checkpoint, limit_threads

SUFFIXES = {'onnx': '.onnx', 'program': '.pt2'}


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser('export', __doc__)
    add = parser.add_argument
    add('config')
    add('checkpoint', type=Path)
    add('--format', choices=[*SUFFIXES, 'both'], default='onnx')
    add('--out', type=Path, help='a file .onnx or .pt2, else a folder')
    add('--batch-check', type=int, default=3, metavar='N')
    add('--half', action='store_true', help='ONNX in float16')
    add('--opset', type=int, help='of ONNX; default: that of torch')
    add(
        '--shape',
        type=int,
        nargs='+',
        metavar='SIZE',
        help='of one video, where the test pipeline does not tell it',
    )
    add_cfg_options(parser)
    add_adjustment(parser)
    args = parser.parse_args(take_options(argv))
    check_checkpoint(str(args.checkpoint))
    args.config = Path(find_config(args.config))
    if args.half and args.format != 'onnx':
        parser.error('--half is for --format onnx')
    stem = args.checkpoint.stem + ('_fp16' if args.half else '')
    args.targets = find_targets(
        args.format, args.out, args.checkpoint.with_name(f'{stem}.pth')
    )
    return args


def find_targets(kind: str, out: Optional[Path], checkpoint: Path) -> dict:
    """The file of each format."""
    kinds = [*SUFFIXES] if kind == 'both' else [kind]
    ends = [SUFFIXES[k] for k in kinds]
    out = checkpoint.parent if out is None else out
    if out.suffix not in SUFFIXES.values():
        if out.is_file():
            raise ConfigError(f'--out {out} is a file', 'name a folder')
        return {k: out / f'{checkpoint.stem}{SUFFIXES[k]}' for k in kinds}
    if ends != [out.suffix]:
        raise ConfigError(
            f'--out {out} does not fit --format {kind}, which writes '
            f'{" and ".join(ends)}',
            'change one of them, or name a folder',
        )
    return {kinds[0]: out}


def main(argv: Sequence[str]) -> int:
    """Export what the command line names."""
    args = parse_args(argv)
    limit_threads()
    from mmengine.registry import init_default_scope

    from micacl_mm import export
    from micacl_mm.apis.loading import load_model, read_config
    from micacl_mm.hooks.logit_adjustment_hook import adjust_by_checkpoint
    from micacl_mm.records.training import find_class_counts

    try:
        if 'onnx' in args.targets:
            export.import_onnx()  # before the work
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options)
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        model, found = load_model(cfg, str(args.checkpoint))
        meta = found.get('meta') or {}
        shape, metadata = export.describe(
            cfg, model.eval(), meta, args.config.stem, args.shape
        )
        if args.logit_adjust:
            counts = args.class_counts or find_class_counts(found)
            adjust_by_checkpoint(model, args.logit_adjust, found, counts)
            metadata['logit_adjust'] = args.logit_adjust
            metadata['class_counts'] = counts
        for kind, path in args.targets.items():
            same = dict(metadata=metadata, batch=args.batch_check)
            if kind == 'onnx':
                same.update(opset=args.opset, half=args.half)
                error = export.export_onnx(model, path, shape, **same)
            else:
                error = export.export_program(model, path, shape, **same)
            print(
                f'{path}: {path.stat().st_size / 1e6:.1f} MB, frames (batch, '
                f'{", ".join(map(str, shape))}), largest difference of a '
                f'score {error:.1e} at batches of 1 and '
                f'{args.batch_check}'
            )
    except export.ExportError as error:
        text = str(error).removeprefix('export: ')
        print(f'micacl export: {text}', file=sys.stderr)
        return 1
    except (ImportError, TypeError, ValueError) as error:
        raise ConfigError(str(error).removeprefix('export: ')) from error
    return 0
