"""ONNX files and programs of torch.export, compared before they are kept."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Optional, Union

import torch
from mmaction.models.recognizers import BaseRecognizer
from mmaction.structures import ActionDataSample
from torch import Tensor
from torch.export import ExportedProgram

from micacl_mm.apis.loading import first_line
from micacl_mm.errors import DependencyError, check_count
from micacl_mm.utils.files import replacing

from .exportable_recognizer import (
    DYNAMIC,
    ExportError,
    draw_frames,
    quiet,
    trace,
)

#: Largest difference of a score that is accepted, and in half precision.
TOLERANCE, HALF_TOLERANCE = 1e-4, 5e-3
#: Scores closer than this are a tie in half precision, either may win.
TIE = 1e-3
#: Bytes that protobuf, and so an ONNX file, can hold.
LIMIT = 2**31 - 1
#: Name of the description inside a program.
METADATA = 'metadata.json'


def export_onnx(
    model: BaseRecognizer,
    path: Union[str, Path],
    shape: Sequence[int],
    metadata: Optional[Mapping[str, Any]] = None,
    batch: int = 3,
    opset: Optional[int] = None,
    dtype: torch.dtype = torch.uint8,
    half: bool = False,
) -> float:
    """Write a recognizer as one ONNX file, if it gives the same scores.

    Input ``frames``, videos of ``shape``; output ``scores`` (batch, K). The
    batch has any size. All that ``test_step`` does is inside. The file is run
    by onnxruntime at a batch of one and at ``batch`` before it replaces
    ``path``.

    Args:
        model (BaseRecognizer): It is not changed.
        path (str or Path): The file. Its folder is made.
        shape (Sequence[int]): Of one video as the test pipeline packs it:
            (views, C, T, H, W), views being instances times crops, or
            (views, C, H, W).
        metadata (Mapping, optional): Description to store, each value as
            JSON. See :func:`describe`. Defaults to None.
        batch (int): The other batch size to check. Defaults to 3.
        opset (int, optional): Version of ONNX's operators, 18 or more.
            Defaults to None, that of the installed torch.
        dtype (torch.dtype): Of the frames. Defaults to torch.uint8, which
            cannot be mistaken for frames scaled to 0..1.
        half (bool): Weights and arithmetic in float16; the scores are
            float32. They may then differ from PyTorch's float32 scores by
            5e-3, and the predicted classes must be equal. Defaults to False.

    Returns:
        float: the largest difference of a score from that of ``test_step``.

    Raises:
        DependencyError: onnx, onnxscript or onnxruntime is missing.
        ExportError: The model cannot be exported, or its scores differ.
        TypeError, ValueError: see :class:`ExportableRecognizer`.
    """
    onnx, onnxruntime = import_onnx()
    check_count('export', 2, batch=batch)
    newest = onnx.defs.onnx_opset_version()
    if opset is not None and not 18 <= opset <= newest:
        raise ValueError(
            f'export: opset must be 18 to {newest}, got {opset}; leave it '
            'out to let torch choose'
        )
    tensors = [*model.parameters(), *model.buffers()]
    size = sum(tensor.nbytes for tensor in tensors)
    if size > LIMIT:
        raise ExportError(
            f'the model has {size / 1e9:.1f} GB of weights, and an ONNX file '
            'holds 2 GB; export the program of torch.export'
        )
    proto = _convert(trace(model, shape, dtype), opset)
    if half:
        from onnxruntime.transformers.float16 import convert_float_to_float16

        proto = convert_float_to_float16(proto, keep_io_types=True)
    texts = {k: json.dumps(v) for k, v in (metadata or {}).items()}
    onnx.helper.set_model_props(proto, texts)
    with replacing(Path(path)) as part:
        part.write_bytes(proto.SerializeToString())
        try:
            onnx.checker.check_model(str(part), full_check=True)
            session = onnxruntime.InferenceSession(
                str(part), providers=['CPUExecutionProvider']
            )
        except Exception as error:  # onnx and onnxruntime have their own
            raise ExportError(
                f'the ONNX file cannot be run: {first_line(error)}'
            ) from error

        def run(frames: Tensor) -> Tensor:
            (scores,) = session.run(['scores'], {'frames': frames.numpy()})
            return torch.from_numpy(scores)

        return check_scores(run, model, shape, dtype, batch, half)


def import_onnx() -> tuple[ModuleType, ModuleType]:
    """Import onnx and onnxruntime, and check that onnxscript is there."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch needs it
    except ImportError as error:
        raise DependencyError(
            f'export to ONNX needs {error.name or "onnx"}, which could not be '
            f'imported ({error})',
            "run: pip install '.[export]'",
        ) from error
    return onnx, onnxruntime


def _convert(program: ExportedProgram, opset: Optional[int]) -> Any:
    """From torch's graph to ONNX's, a ModelProto."""
    try:
        with quiet():
            proto = torch.onnx.export(
                program,
                (),
                dynamo=True,
                dynamic_shapes=DYNAMIC,  # for the name of the axis
                input_names=['frames'],
                output_names=['scores'],
                opset_version=opset,
                verbose=False,
            ).model_proto
    except Exception as error:  # of an operator without a translation
        raise ExportError(
            f'torch.onnx cannot translate this model: {first_line(error)}'
        ) from error
    version = next(o.version for o in proto.opset_import if not o.domain)
    if opset not in (None, version):
        raise ExportError(
            f'torch.onnx wrote opset {version} where {opset} was asked for; '
            'ask for that, or for none'
        )
    return proto


def export_program(
    model: BaseRecognizer,
    path: Union[str, Path],
    shape: Sequence[int],
    metadata: Optional[Mapping[str, Any]] = None,
    batch: int = 3,
    dtype: torch.dtype = torch.uint8,
) -> float:
    """Write a recognizer as a program, if it gives the same scores.

    The program of ``torch.export`` runs wherever the same torch is, without
    this package and MMAction2. It is loaded again and compared before it
    replaces ``path``.

    Args:
        model (BaseRecognizer): It is not changed.
        path (str or Path): The file, ``.pt2`` by custom. Its folder is made.
        shape (Sequence[int]): See :func:`export_onnx`, as the others.
        metadata (Mapping, optional): Stored as ``metadata.json`` inside the
            file. Defaults to None.
        batch (int): The other batch size to check. Defaults to 3.
        dtype (torch.dtype): Of the frames. Defaults to torch.uint8.

    Returns:
        float: the largest difference of a score from that of ``test_step``.

    Raises:
        ExportError: The model cannot be exported, or its scores differ.
        TypeError, ValueError: see :class:`ExportableRecognizer`.
    """
    check_count('export', 2, batch=batch)
    program = trace(model, shape, dtype)
    extra = {METADATA: json.dumps(dict(metadata or {}))}
    with replacing(Path(path)) as part, quiet():
        try:
            with part.open('wb') as file:
                torch.export.save(program, file, extra_files=extra)
            with part.open('rb') as file:
                run = torch.export.load(file).module()
        except Exception as error:  # what has no written form
            raise ExportError(
                f'torch.export cannot store this model: {first_line(error)}'
            ) from error
        return check_scores(run, model, shape, dtype, batch)


@torch.no_grad()
def reference_scores(model: BaseRecognizer, frames: Tensor) -> Tensor:
    """Scores (N, K) of the model's own ``test_step``, video by video.

    The model keeps its mode.
    """
    training = model.training
    model.eval()
    try:
        scores = []
        for video in frames:
            batch = dict(inputs=[video], data_samples=[ActionDataSample()])
            scores.append(model.test_step(batch)[0].pred_score.cpu())
    finally:
        model.train(training)
    return torch.stack(scores)


def check_scores(
    run: Callable[[Tensor], Tensor],
    model: BaseRecognizer,
    shape: Sequence[int],
    dtype: torch.dtype,
    batch: int,
    half: bool = False,
) -> float:
    """Compare what was exported with the model, at batches of one and more.

    ``half`` allows what float16 loses.

    Returns:
        float: the largest difference of a score.

    Raises:
        ExportError: It is above the tolerance or not finite, a predicted
            class differs, or ``run`` fails.
    """
    tolerance = HALF_TOLERANCE if half else TOLERANCE
    largest = 0.0
    for size in (1, batch):
        frames = draw_frames(size, shape, dtype)
        expected = reference_scores(model, frames)
        try:
            found = run(frames)
        except Exception as error:  # each runtime has its own
            raise ExportError(
                f'the exported model fails on {size} videos: '
                f'{first_line(error)}'
            ) from error
        if found.shape != expected.shape:
            raise ExportError(
                f'the exported model gives scores of shape '
                f'{tuple(found.shape)} for {size} videos, PyTorch '
                f'{tuple(expected.shape)}'
            )
        difference = (found - expected).abs().max().item()
        if not difference <= tolerance:  # nan is refused, too
            raise ExportError(
                f'the scores of the exported model differ by {difference:.1e} '
                f'from those of PyTorch, {tolerance:.0e} are allowed; nothing '
                'was written'
            )
        chosen = expected.gather(1, found.argmax(1, keepdim=True))
        if (expected.amax(1, keepdim=True) - chosen > TIE).any():
            raise ExportError(
                'the exported model predicts other classes than PyTorch; '
                'nothing was written'
            )
        largest = max(largest, difference)
    return largest
