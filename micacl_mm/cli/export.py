"""Write a trained model as a file that runs without this package.

Usage: micacl export CONFIG CHECKPOINT [--format onnx|program|both]
           [--out FILE_OR_DIR] [--batch-check 3] [--opset N]
           [--shape VIEWS C T H W] [--data-root DIR] [--cfg-options K=V ...]

onnx is an ONNX file (.onnx), program one of torch.export (.pt2). Input frames
(N, views, C, T, H, W), uint8, RGB from 0 to 255; output scores (N, classes).
Each is run at a batch of 1 and of --batch-check before it is written, and
refused where a score differs from PyTorch's by more than 1e-4. Without --out
it is written beside the checkpoint. No data set is needed; the data options
of the training (--data-root) are, where the config finds its classes there.
docs/export.md has more.

Exit code: 0 all is written; 1 a model that cannot be exported, or a file with
other scores, which is not written; 2 wrong arguments or a missing package.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Optional

from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from torch import nn

from micacl_mm.apis.loading import load_model, read_config
from micacl_mm.cli.launch import add_adjustment, limit_threads
from micacl_mm.export import (
    ExportError,
    describe,
    export_onnx,
    export_program,
    import_onnx,
)
from micacl_mm.hooks.logit_adjustment_hook import adjust_by_checkpoint
from micacl_mm.options import find_config, take_options
from micacl_mm.records.training import find_class_counts

SUFFIXES = {'onnx': '.onnx', 'program': '.pt2'}


def parse_args(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; our data options go to the environment."""
    parser = argparse.ArgumentParser(
        prog='micacl export',
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument('config')
    parser.add_argument('checkpoint', type=Path)
    parser.add_argument(
        '--format', choices=[*SUFFIXES, 'both'], default='onnx'
    )
    parser.add_argument(
        '--out', type=Path, help='a file .onnx or .pt2, else a folder'
    )
    parser.add_argument('--batch-check', type=int, default=3, metavar='N')
    parser.add_argument(
        '--opset', type=int, help='of ONNX, 18 or more; default: torch chooses'
    )
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='SIZE',
        help='of one video, where the test pipeline does not tell it',
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    add_adjustment(parser)
    args = parser.parse_args(take_options(argv))
    if not args.checkpoint.is_file():
        parser.error(f'there is no file {args.checkpoint}')
    if args.batch_check < 2:
        parser.error(
            f'--batch-check must be at least 2, got {args.batch_check}'
        )
    try:
        args.config = Path(find_config(args.config))
        args.targets = targets(args.format, args.out, args.checkpoint)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    return args


def targets(kind: str, out: Optional[Path], checkpoint: Path) -> dict:
    """Say which file each format is written to.

    Raises:
        ValueError: A file is named for another format, or for two.
    """
    kinds = [*SUFFIXES] if kind == 'both' else [kind]
    ends = [SUFFIXES[k] for k in kinds]
    if out is not None and out.suffix in SUFFIXES.values():
        if ends != [out.suffix]:
            raise ValueError(
                f'--out {out} does not fit --format {kind}, which writes '
                f'{" and ".join(ends)}; change one of them, or name a folder'
            )
        return {kinds[0]: out}
    folder = checkpoint.parent if out is None else out
    if folder.is_file():
        raise ValueError(
            f'--out {out} is a file; name a folder, or a file that ends in '
            f'{ends[0]}'
        )
    return {k: folder / f'{checkpoint.stem}{SUFFIXES[k]}' for k in kinds}


def write(model: nn.Module, args: argparse.Namespace, about: tuple) -> None:
    """Write each format and say so."""
    shape, metadata = about
    for kind, path in args.targets.items():
        same = dict(metadata=metadata, batch=args.batch_check)
        if kind == 'onnx':
            done = export_onnx(model, path, shape, opset=args.opset, **same)
        else:
            done = export_program(model, path, shape, **same)
        print(
            f'{path}: {path.stat().st_size / 1e6:.1f} MB, frames '
            f'(batch, {", ".join(map(str, shape))}), largest difference of a '
            f'score {done.max_difference:.1e} at batches of 1 and '
            f'{args.batch_check}'
        )


def fail(message: str, code: int = 2) -> NoReturn:
    """Leave with a sentence."""
    print(f'export: {message.removeprefix("export: ")}', file=sys.stderr)
    sys.exit(code)


def main(argv: Sequence[str]) -> int:
    """Export what the command line names."""
    args = parse_args(argv)
    limit_threads()
    try:
        if 'onnx' in args.targets:
            import_onnx()  # before the work
        cfg = read_config(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
        init_default_scope(cfg.get('default_scope', 'mmaction'))
        model, found = load_model(cfg, str(args.checkpoint))
        meta = found.get('meta') or {}
        about = describe(cfg, model, meta, args.config.stem, args.shape)
        if args.logit_adjust:
            counts = args.class_counts or find_class_counts(found)
            adjust_by_checkpoint(model, args.logit_adjust, found, counts)
            about.metadata['logit_adjust'] = args.logit_adjust
            about.metadata['class_counts'] = counts
        write(model, args, about)
    except ExportError as error:
        fail(str(error), 1)
    except (ImportError, OSError, TypeError, ValueError) as error:
        fail(str(error))
    return 0
