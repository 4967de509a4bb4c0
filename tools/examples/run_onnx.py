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
size = about['size'][::-1]  # width, height
if (clip := Path(sys.argv[2])).is_dir():
    files = clip.glob('*.[jp]*g')  # jpg, jpeg, png, by their numbers
    files = sorted(files, key=lambda file: (len(file.name), file.name))
    frames = [cv2.resize(cv2.imread(str(file)), size) for file in files]
else:
    frames, video = [], cv2.VideoCapture(str(clip))
    while (read := video.read())[0]:
        frames.append(cv2.resize(read[1], size))
edges = np.arange(about['num_frames'] + 1) * len(frames) // about['num_frames']
middles = edges[:-1] + np.maximum(np.diff(edges), 1) // 2
faces = np.stack([frames[i][..., ::-1] for i in middles])
bag = faces[np.array(about['windows'])].transpose(0, 4, 1, 2, 3)
scores = session.run(['scores'], {'frames': bag[None]})[0][0]
for k in scores.argsort()[::-1]:
    print(f'{about["classes"][k]:<10} {scores[k]:.6f}')
