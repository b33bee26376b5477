"""The exported model as a server uses it: onnxruntime, CLIP's tokenizer, CLIP's published image preprocessing."""
import json

import numpy as np
import onnxruntime as ort
from PIL import Image

from tokenizer import Tokenizer


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class Published:
    """A model folder: config.json, the merges it names, textual.onnx, visual.onnx."""

    def __init__(self, folder: str):
        with open(f'{folder}/config.json') as file:
            self.config = json.load(file)
        self.tokenizer = Tokenizer(f'{folder}/{self.config["vocab"]}')
        self.textual, self.visual = (ort.InferenceSession(f'{folder}/{name}.onnx', providers=['CPUExecutionProvider'])
                                     for name in ('textual', 'visual'))

    def preprocess(self, image: Image.Image) -> np.ndarray:
        """torchvision's Resize (shorter side, bicubic), CenterCrop, RGB, ToTensor, Normalize: float32 (3, n, n)."""
        n, (w, h) = self.config['image_size'], image.size
        image = image.resize((n, int(n * h / w)) if w <= h else (int(n * w / h), n), Image.BICUBIC)
        x, y = round((image.width - n) / 2), round((image.height - n) / 2)
        pixels = np.asarray(image.crop((x, y, x + n, y + n)).convert('RGB'), np.float32) / 255
        return ((pixels - np.float32(self.config['mean'])) / np.float32(self.config['std'])).transpose(2, 0, 1)

    def embed_texts(self, texts: list[str]) -> np.ndarray:
        """float32 (N, embed_dim), not normalised."""
        ids = self.tokenizer(texts)
        return self.textual.run(None, dict(input_ids=ids, attention_mask=(ids != 0).astype(np.int32)))[0]

    def embed_images(self, paths: list[str]) -> np.ndarray:
        """float32 (N, embed_dim), not normalised."""
        out = []
        for i in range(0, len(paths), 32):
            pixels = np.stack([self.preprocess(Image.open(path)) for path in paths[i:i + 32]])
            out.append(self.visual.run(None, dict(pixel_values=pixels))[0])
        return np.concatenate(out)
