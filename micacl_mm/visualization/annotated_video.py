"""A clip with its prediction drawn on: face box, class bars, timeline."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from micacl_mm.apis.clips import Clip
from micacl_mm.apis.predictions import ClipPrediction

from .clip_picture import highest, timeline_of
from .plots import mark_of
from .video_file import write_video

_HEIGHTS = (360, 720)  # of the drawn frame, in pixels
_WIDEST = 1280
_PANEL, _STRIP = 240, 84
_PITCH = (22, 40)  # from bar to bar
_PAPER, _INK, _FAINT = (255, 255, 255), (34, 34, 34), (228, 228, 228)
_GREY = (110, 110, 110)


def annotate_video(
    predictions: Sequence[ClipPrediction], clip: Clip, path: Path
) -> Path:
    """Write a clip with what was predicted of it.

    Boxes stand around the faces, with class and score; the bars are the
    scores of the first face, and the strip below its timeline, in which a
    line moves. Between the middles of two windows the scores are
    interpolated.

    Args:
        predictions (Sequence[ClipPrediction]): One clip's, one a face.
        clip (Clip): Its frames.
        path (Path): mp4 to write.

    Returns:
        Path: The written file.
    """
    return write_video(_pages(predictions, clip), path, clip.fps)


def scores_over_time(
    prediction: ClipPrediction, seconds: np.ndarray
) -> np.ndarray:
    """Scores at any times, (T, K); nan where no face was seen.

    Linear between the middles of windows, constant before the first and
    after the last.

    Args:
        prediction (ClipPrediction): With at least one bag.
        seconds (np.ndarray): Times, (T,).
    """
    middles, scores = timeline_of(prediction)
    columns = [np.interp(seconds, middles, column) for column in scores.T]
    return np.stack(columns, axis=1)


def _pages(
    predictions: Sequence[ClipPrediction], clip: Clip
) -> Iterator[np.ndarray]:
    """The drawn frames."""
    scores = [scores_over_time(p, clip.seconds) for p in predictions]
    boxes = [_boxes(p, len(clip)) for p in predictions]
    usual = highest(predictions[0].scores, _room(predictions[0].classes))
    height, width = clip.frame(0).shape[:2]
    scale = np.clip(1, _HEIGHTS[0] / height, _HEIGHTS[1] / height)
    scale = min(scale, _WIDEST / width)
    width, height = (2 * int(side * scale / 2) for side in (width, height))
    height, width = max(height, _HEIGHTS[0]), max(width, 2)
    strip = _strip(predictions[0], width + _PANEL)
    page = np.empty((height + _STRIP, width + _PANEL, 3), np.uint8)
    for index in range(len(clip)):
        image = clip.frame(index)
        page[:] = _PAPER[0]
        shown = _fit(image, width, height)
        page[: shown.shape[0], : shown.shape[1]] = shown
        page[height:] = strip
        canvas = Image.fromarray(page)
        draw = ImageDraw.Draw(canvas)
        factor = shown.shape[0] / image.shape[0]
        for k, prediction in enumerate(predictions):
            box = boxes[k][index] * factor
            _draw_box(draw, prediction.classes, box, scores[k][index])
        draw_bars(draw, predictions[0].classes, scores[0][index], usual, width)
        done = clip.seconds[index] / clip.duration
        x = done * (width + _PANEL - 1)
        draw.line([(x, height), (x, height + _STRIP)], fill=_INK, width=2)
        yield np.asarray(canvas)


def _fit(image: np.ndarray, width: int, height: int) -> np.ndarray:
    scale = min(width / image.shape[1], height / image.shape[0])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(image, size, interpolation=way)


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    path = font_manager.findfont('DejaVu Sans')  # comes with matplotlib
    return ImageFont.truetype(path, size)


def _rgb(index: int) -> tuple[int, ...]:
    text = mark_of(index)['color'].lstrip('#')
    return tuple(bytes.fromhex(text))


def _boxes(prediction: ClipPrediction, frames: int) -> np.ndarray:
    """Boxes in all frames, (frames, 4); nan where no face is seen."""
    if prediction.track is None:
        return np.full((frames, 4), np.nan)
    return prediction.track.boxes_at(np.arange(frames))[0]


def _draw_box(
    draw: ImageDraw.ImageDraw,
    classes: Sequence[str],
    box: np.ndarray,
    scores: np.ndarray,
) -> None:
    """The face's box with its class, where the face is seen."""
    if np.isnan(box).any():
        return
    left, top, right, bottom = map(float, box)
    known = not np.isnan(scores).any()
    label = int(scores.argmax()) if known else 0
    color = _rgb(label) if known else (140, 140, 140)
    draw.rectangle([left, top, right, bottom], outline=color, width=3)
    if known:
        text = f'{classes[label]} {100 * scores[label]:.0f} %'
        spot = (left + 4, max(0, top - 22))
        area = draw.textbbox(spot, text, font=_font(15))
        draw.rectangle(
            [area[0] - 4, area[1] - 3, area[2] + 4, area[3] + 3], fill=color
        )
        draw.text(spot, text, font=_font(15), fill=_PAPER)


def _room(classes: Sequence[str]) -> int:
    """How many bars fit; a line is left to say that there are more."""
    lines = (_HEIGHTS[0] - 24) // _PITCH[0]
    return lines if len(classes) <= lines else lines - 1


def draw_bars(
    draw: ImageDraw.ImageDraw,
    classes: Sequence[str],
    scores: np.ndarray,
    usual: np.ndarray,
    left: int,
) -> None:
    """Draw a bar a class beside a frame.

    Args:
        draw (ImageDraw.ImageDraw): The page.
        classes (Sequence[str]): K names.
        scores (np.ndarray): In this frame, (K,); nan where no face was seen.
        usual (np.ndarray): Classes with a bar. The frame's highest class
            takes the last bar where it has none.
        left (int): Where the frame ends, in pixels.
    """
    known = not np.isnan(scores).any()
    best = int(scores.argmax()) if known else None
    shown = [int(k) for k in usual]
    if known and best not in shown:
        shown[-1] = best
    more = len(classes) - len(shown)
    lines = len(shown) + (more > 0)
    pitch = int(np.clip((_HEIGHTS[0] - 24) // lines, *_PITCH))
    size = max(8, min(14, pitch - 18))
    x, length = left + 14, _PANEL - 28
    for line, k in enumerate(shown):
        top = 12 + line * pitch
        draw.text(
            (x, top),
            f'{classes[k]}  {100 * scores[k]:.0f} %' if known else classes[k],
            font=_font(size),
            fill=_INK if k == best else _GREY,
        )
        bar = top + size + 5
        draw.rectangle([x, bar, x + length, bar + 8], fill=_FAINT)
        if known:
            end = x + scores[k] * length
            draw.rectangle([x, bar, end, bar + 8], fill=_rgb(k))
    if more:
        spot = (x, 12 + len(shown) * pitch)
        draw.text(spot, f'and {more} more', font=_font(size), fill=_GREY)


def _strip(prediction: ClipPrediction, width: int) -> np.ndarray:
    """The timeline as stacked areas, (strip, width, 3)."""
    times = (np.arange(width) + 0.5) / width * prediction.seconds
    edges = scores_over_time(prediction, times).cumsum(axis=1)  # (width, K)
    heights = (np.arange(_STRIP) + 0.5)[::-1] / (_STRIP - 8)
    # Class at each pixel: how many edges lie below it.
    classes = (heights[:, None, None] > edges[None]).sum(-1)  # (strip, width)
    colors = [_rgb(i) for i in range(len(prediction.classes))] + [_PAPER]
    strip = np.array(colors, np.uint8)[classes]
    strip[:, np.isnan(edges).any(axis=1)] = _FAINT
    return strip
