"""ONNX files."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Optional, Union

import torch
from mmaction.models.recognizers import BaseRecognizer
from torch import Tensor
from torch.export import ExportedProgram

from micacl_mm.utils.files import replacing

from .checks import Exported, ExportError, check_batch, check_scores, reason
from .tracing import DYNAMIC, quiet, trace

#: Bytes that protobuf, and so an ONNX file, can hold.
LIMIT = 2**31 - 1


def export_onnx(
    model: BaseRecognizer,
    path: Union[str, Path],
    shape: Sequence[int],
    metadata: Optional[Mapping[str, Any]] = None,
    batch: int = 3,
    opset: Optional[int] = None,
    dtype: torch.dtype = torch.uint8,
) -> Exported:
    """Write a recognizer as one ONNX file, if it gives the same scores.

    Input ``frames`` (batch, *shape), output ``scores`` (batch, K); the batch
    has any size. All that ``test_step`` does is inside. The file is run by
    onnxruntime at a batch of one and at ``batch`` before it takes the place
    of ``path``.

    Args:
        model (BaseRecognizer): It is not changed.
        path (str or Path): The file. Its folder is made.
        shape (Sequence[int]): Of one video as the test pipeline packs it:
            (views, C, T, H, W), views being instances times crops, or
            (views, C, H, W).
        metadata (Mapping, optional): What the file shall say of itself; each
            value is written as JSON. See :func:`describe`. Defaults to None.
        batch (int): The other batch size to check. Defaults to 3.
        opset (int, optional): Version of ONNX's operators, 18 or more.
            Defaults to None, that of the installed torch.
        dtype (torch.dtype): Of the frames. Defaults to torch.uint8, which
            cannot be mistaken for frames scaled to 0..1.

    Returns:
        Exported: the path, and the largest difference of a score.

    Raises:
        ImportError: onnx, onnxscript or onnxruntime is missing.
        ExportError: The model cannot be exported, or its scores differ.
        TypeError, ValueError: see :class:`ExportableRecognizer`.
    """
    onnx, onnxruntime = import_onnx()
    check_batch(batch)
    newest = onnx.defs.onnx_opset_version()
    if opset is not None and not 18 <= opset <= newest:
        raise ValueError(
            f'export: opset must be 18 to {newest}, got {opset}; leave it '
            'out to let torch choose'
        )
    _check_size(model)
    program = trace(model, shape, dtype)
    proto = _convert(program, opset)
    texts = {k: json.dumps(v) for k, v in (metadata or {}).items()}
    onnx.helper.set_model_props(proto, texts)
    path = Path(path)
    with replacing(path) as part:
        part.write_bytes(proto.SerializeToString())
        try:
            onnx.checker.check_model(str(part), full_check=True)
            run = _runner(onnxruntime, part)
        # Each of both has errors of its own.
        except Exception as error:
            raise ExportError(
                f'the ONNX file cannot be run: {reason(error)}'
            ) from error
        difference = check_scores(run, model, shape, dtype, batch)
    return Exported(path, difference)


def import_onnx() -> tuple[ModuleType, ModuleType]:
    """Import onnx and onnxruntime, and see that onnxscript is there.

    Raises:
        ImportError: One of them is missing; ends with the cure.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch needs it
    except ImportError as error:
        raise ImportError(
            f'export to ONNX needs {error.name or "onnx"}, which could not be '
            f"imported ({error}); run: pip install '.[export]'"
        ) from error
    return onnx, onnxruntime


def _check_size(model: BaseRecognizer) -> None:
    tensors = [*model.parameters(), *model.buffers()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if size > LIMIT:
        raise ExportError(
            f'the model has {size / 1e9:.1f} GB of weights, and an ONNX file '
            'holds 2 GB; export the program of torch.export'
        )


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
    # What an operator without a translation raises.
    except Exception as error:
        raise ExportError(
            f'torch.onnx cannot translate this model: {reason(error)}'
        ) from error
    version = next(o.version for o in proto.opset_import if not o.domain)
    if opset not in (None, version):
        raise ExportError(
            f'torch.onnx wrote opset {version} where {opset} was asked for; '
            'ask for that, or for none'
        )
    return proto


def _runner(onnxruntime: ModuleType, path: Path) -> Callable[[Tensor], Tensor]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        path.read_bytes(), options, providers=['CPUExecutionProvider']
    )

    def run(frames: Tensor) -> Tensor:
        (scores,) = session.run(['scores'], {'frames': frames.numpy()})
        return torch.from_numpy(scores)

    return run
