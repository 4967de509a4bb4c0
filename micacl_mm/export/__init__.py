"""A trained recognizer as one file that runs without this package."""

from .checks import ExportError
from .description import describe
from .exportable_recognizer import ExportableRecognizer
from .onnx_file import export_onnx, import_onnx
from .program_file import export_program

__all__ = [
    'ExportError',
    'ExportableRecognizer',
    'describe',
    'export_onnx',
    'export_program',
    'import_onnx',
]
