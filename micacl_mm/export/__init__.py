"""A trained recognizer as one file that runs without this package."""

from .description import describe
from .exportable_recognizer import ExportableRecognizer, ExportError
from .files import export_onnx, export_program, import_onnx
