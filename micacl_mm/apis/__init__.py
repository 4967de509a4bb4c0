"""Predict, look inside, explain: what users call from Python."""

from micacl_mm.utils.video import ClipError

from .explain import Explanation, explain, occlusion, without_instance
from .inferencer import DFERInferencer
from .predictions import BagPrediction, ClipPrediction
