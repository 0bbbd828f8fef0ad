"""What the model says of pictures, without the program that trained it: `python example.py PICTURE ...`.

Needs NumPy, Pillow, and PyTorch or else ONNX Runtime; `preprocessing.json` and the models lie beside this file. With
simplejpeg, JPEGs are decoded as they were for the model; Pillow does it more exactly, a level or two off.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
SPEC = json.loads((HERE / "preprocessing.json").read_text())


def weights(size: int, resized: int, grows: bool) -> np.ndarray:
    """How much each of `size` pixels counts for each of `resized` ones, (resized, size), by the filter of the JSON."""
    step, at, pixel = size / resized, np.arange(resized)[:, None], np.arange(size)
    if SPEC["resize"]["filter"] == "nearest":
        return (pixel == np.minimum(((at + np.float32(0.5)) * np.float32(step)).astype(int), size - 1)) * 1.0
    if SPEC["resize"]["filter"] == "bilinear":
        triangle = np.maximum(0, 1 - abs(pixel + 0.5 - (at + 0.5) * step) / max(step, 1))
        return triangle / triangle.sum(1, keepdims=True)
    if not grows:  # the mean of what a pixel covers
        return np.clip(np.minimum((at + 1) * step, pixel + 1) - np.maximum(at * step, pixel), 0, None) / step
    growth = resized / size  # what OpenCV's INTER_AREA does as soon as one side grows
    first = np.floor(at * (1 / growth))
    rest = np.maximum(0, (at + 1) - (first + 1) * growth).astype(np.float32) % 1
    return (pixel == first) * (1.0 - rest) + (pixel == np.minimum(first + 1, size - 1)) * rest


def read(path: str) -> np.ndarray:
    """A picture's pixels, uint8 (H, W, 3); a JPEG's by the fast inverse DCT, if there is simplejpeg."""
    try:
        from simplejpeg import decode_jpeg

        return decode_jpeg(Path(path).read_bytes(), fastdct=True)
    except (ImportError, ValueError):
        return np.asarray(Image.open(path).convert("RGB"))


def preprocess(path: str) -> np.ndarray:
    """The model's input for one picture: crop, resize, (level - mean) / std."""
    picture = read(path)
    if SPEC["crop"] is not None:
        side = max(1, int(min(picture.shape[:2]) * SPEC["crop"]))
        top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
        picture = picture[top : top + side, left : left + side]
    if (resize := SPEC["resize"]) is not None:
        height, width = picture.shape[:2]
        shorter, box = resize.get("shorter_side"), resize.get("letter_box")
        if shorter is not None:
            to = [shorter * side // min(height, width) for side in (height, width)]
        elif box is not None:
            to = [max(1, round(side * min(box[0] / height, box[1] / width))) for side in (height, width)]
        else:
            to = resize["size"]
        grows = height < to[0] or width < to[1]
        rows, columns = weights(height, to[0], grows), weights(width, to[1], grows)
        picture = np.einsum("hwc,xw->hxc", np.einsum("yh,hwc->ywc", rows, picture), columns)
        picture = np.floor(picture + 0.5)
        picture = center(picture, resize.get("center_crop") or box or to, resize.get("fill", 0))
    image = ((picture - np.array(SPEC["mean"])) / np.array(SPEC["std"])).astype(SPEC["dtype"])
    return image.transpose(2, 0, 1) if SPEC["layout"] == "NCHW" else image


def center(picture: np.ndarray, size: list[int], fill: int | list[int]) -> np.ndarray:
    """The middle of a picture, with a colour around one that is smaller."""
    missing = [max(0, wanted - had) for wanted, had in zip(size, picture.shape, strict=False)]
    before = [one // 2 for one in missing]
    padded = np.full([*(had + more for had, more in zip(picture.shape, missing, strict=False)), 3], fill, picture.dtype)
    padded[before[0] :, before[1] :][: picture.shape[0], : picture.shape[1]] = picture
    picture = padded
    top, left = (round((had - wanted) / 2) for had, wanted in zip(picture.shape, size, strict=False))
    return picture[top : top + size[0], left : left + size[1]]


def load() -> Callable[[np.ndarray], np.ndarray]:
    """The model: from images (N, ...) to its output, as arrays."""
    try:
        import torch
    except ImportError:
        from onnxruntime import InferenceSession

        session = InferenceSession(str(HERE / "model.onnx"))
        return lambda images: session.run(None, {"images": images})[0]
    model = torch.export.load(HERE / "model.pt2").module()
    return lambda images: model(torch.from_numpy(images)).detach().numpy()


def told(output: np.ndarray) -> tuple:
    """What an output says: the class, or all that are there, and the numbers; the values of a regression."""
    if output.ndim != 1 or SPEC["output"] not in ("logits", "values"):
        return SPEC["output"], output.shape
    numbers = [round(value, 4) for value in output.tolist()]
    if SPEC["output"] == "values":
        return (numbers,)
    names = SPEC["classes"] or range(len(numbers))
    if SPEC["task"] == "multilabel":
        shares = 1 / (1 + np.exp(-output.astype(float)))
        return [names[place] for place in np.flatnonzero(shares >= 0.5)], [round(share, 4) for share in shares.tolist()]
    return names[int(output.argmax())], numbers


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit("usage: python example.py PICTURE ...")
    try:
        pictures = [preprocess(path) for path in sys.argv[1:]]
    except OSError as error:  # there is no such file, or it is no picture
        sys.exit(str(error))
    outputs = load()(np.stack(pictures))
    for path, output in zip(sys.argv[1:], outputs, strict=True):
        print(path, *told(output))
