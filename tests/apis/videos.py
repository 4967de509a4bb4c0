"""Small video files, good and bad, made on the spot."""

import subprocess

import numpy as np

from tests import sets


def picture(index, height=48, width=64):
    """White corner at the top left; the rest tells the frame number."""
    image = np.full((height, width, 3), 20 + 3 * index, np.uint8)
    image[: height // 4, : width // 4] = 255
    return image


def write_video(path, frames=20, fps=25.0, size=(48, 64)):
    sets.write_video(path, [picture(k, *size) for k in range(frames)], fps)
    return path


def ffmpeg(*arguments):
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [get_ffmpeg_exe(), '-y', '-loglevel', 'error', *arguments]
    subprocess.run([str(part) for part in command], check=True)


def turned(path, source, degrees):
    """The same file, marked as filmed sideways."""
    turn = ('-display_rotation', degrees)
    ffmpeg(*turn, '-i', source, '-c', 'copy', path)
    return path


def uneven(path, source):
    """Ten frames at 25 a second, the rest at 5."""
    rule = "setpts='if(lt(N,10),N/25,10/25+(N-10)/5)/TB'"
    ffmpeg('-i', source, '-vf', rule, '-fps_mode', 'vfr', path)
    return path


def sound(path):
    ffmpeg('-f', 'lavfi', '-i', 'sine=d=1', path)
    return path


def cut_off(path, source, share=0.5):
    """A copy whose head announces more frames than are left in it."""
    ffmpeg('-i', source, '-g', '5', '-movflags', 'faststart', path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    return path
