"""Files of torch.export."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmaction.models.recognizers import BaseRecognizer

from micacl_mm.utils.files import replacing

from .checks import Exported, ExportError, check_batch, check_scores, reason
from .tracing import quiet, trace

#: Name of the description inside the file.
METADATA = 'metadata.json'


def export_program(
    model: BaseRecognizer,
    path: Union[str, Path],
    shape: Sequence[int],
    metadata: Optional[Mapping[str, Any]] = None,
    batch: int = 3,
    dtype: torch.dtype = torch.uint8,
) -> Exported:
    """Write a recognizer as a program, if it gives the same scores.

    The program of ``torch.export`` runs wherever the same torch is, without
    this package and MMAction2. It is loaded again and compared before it
    takes the place of ``path``.

    Args:
        model (BaseRecognizer): It is not changed.
        path (str or Path): The file, ``.pt2`` by custom. Its folder is made.
        shape (Sequence[int]): See :func:`export_onnx`, as the others.
        metadata (Mapping, optional): Written as JSON into ``metadata.json``
            inside the file. Defaults to None.
        batch (int): The other batch size to check. Defaults to 3.
        dtype (torch.dtype): Of the frames. Defaults to torch.uint8.

    Returns:
        Exported: the path, and the largest difference of a score.

    Raises:
        ExportError: The model cannot be exported, or its scores differ.
        TypeError, ValueError: see :class:`ExportableRecognizer`.
    """
    check_batch(batch)
    program = trace(model, shape, dtype)
    extra = {METADATA: json.dumps(dict(metadata or {}))}
    path = Path(path)
    with replacing(path) as part, quiet():
        try:
            with part.open('wb') as file:
                torch.export.save(program, file, extra_files=extra)
            with part.open('rb') as file:
                run = torch.export.load(file).module()
        # What torch.export has no written form for.
        except Exception as error:
            raise ExportError(
                f'torch.export cannot store this model: {reason(error)}'
            ) from error
        difference = check_scores(run, model, shape, dtype, batch)
    return Exported(path, difference)
