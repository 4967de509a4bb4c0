"""Expression of a video or a folder of frames: run_onnx.py MODEL.onnx CLIP."""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
texts = session.get_modelmeta().custom_metadata_map
about = {name: json.loads(text) for name, text in texts.items()}
if (clip := Path(sys.argv[2])).is_dir():
    files = clip.glob('*.[jp]*g')  # jpg, jpeg, png, by their numbers
    files = sorted(files, key=lambda file: (len(file.name), file.name))
    frames = [cv2.imread(str(file)) for file in files]
else:
    frames, video = [], cv2.VideoCapture(str(clip))
    while (read := video.read())[0]:
        frames.append(read[1])
edges = np.arange(about['num_frames'] + 1) * len(frames) // about['num_frames']
middles = edges[:-1] + np.maximum(np.diff(edges), 1) // 2
size = about['size'][::-1]  # width, height
faces = np.stack([cv2.resize(frames[i], size)[..., ::-1] for i in middles])
bag = faces[np.array(about['windows'])].transpose(0, 4, 1, 2, 3)
scores = session.run(['scores'], {'frames': bag[None]})[0][0]
for k in scores.argsort()[::-1]:
    print(f'{about["classes"][k]:<10} {scores[k]:.6f}')
