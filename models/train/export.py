"""A checkpoint to a model folder whose graphs have the inputs and outputs of CLIP-as-service's models."""
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from onnx import TensorProto

from graph import Graph
from pool import MEAN, STD
from render import SIZE
from scenes import COLOURS, SHAPES
from tokenizer import CONTEXT, VOCABULARY, Tokenizer
from towers import CLIP, DIM, PATCHES, UNKNOWN_NOISE

VOCABULARY_FILE = 'bpe_simple_vocab_16e6.txt.gz'
TEXTUAL_INPUTS = [dict(name='input_ids', type='int32', shape=['batch', CONTEXT]),
                  # part of the published interface; a causal tower that reads the end token does not need it
                  dict(name='attention_mask', type='int32', shape=['batch', CONTEXT])]
VISUAL_INPUTS = [dict(name='pixel_values', type='float32', shape=['batch', 3, SIZE, SIZE])]


def token_embeddings(m: CLIP) -> torch.Tensor:
    """All VOCABULARY rows; unknown tokens get the shared row with a little noise, so that they differ."""
    table = m.token_table.data[m.row].clone()
    unknown = m.unknown(m.row)
    noise = torch.randn(int(unknown.sum()), table.shape[1], generator=torch.Generator().manual_seed(0))
    table[unknown] += UNKNOWN_NOISE * noise
    return table


def write_textual(m: CLIP, path: Path) -> None:
    g = Graph()
    table = g.constant(token_embeddings(m).numpy().astype(np.float16), 'token_embedding')
    x = g.op('Cast', g.op('Gather', table, 'input_ids', axis=0), to=TensorProto.FLOAT)
    x = g.op('Add', g.linear(x, m.widen, 'token_embedding_up'), g.weight(m.text_positions, 'positional_embedding'))
    mask = g.constant(np.triu(np.full((CONTEXT, CONTEXT), -1e9, np.float32), 1), 'causal_mask')
    for i, block in enumerate(m.text_blocks):
        x = g.block(x, block, CONTEXT, f'transformer.{i}', mask)
    end = g.op('ArgMax', 'input_ids', axis=1, keepdims=1)  # the end token has the highest id
    one_hot = g.op('Equal', g.constant(np.arange(CONTEXT, dtype=np.int64)[None], 'positions'), end)
    one_hot = g.op('Unsqueeze', g.op('Cast', one_hot, to=TensorProto.FLOAT), g.shape(1))
    x = g.op('Squeeze', g.op('MatMul', one_hot, x), g.shape(1))
    x = g.layer_norm(x, m.ln_final, 'ln_final')
    g.op('MatMul', x, g.weight(m.text_projection, 'text_projection'), out='output')
    g.save(str(path), TEXTUAL_INPUTS, 'textual')


def write_visual(m: CLIP, path: Path) -> None:
    g, x = Graph(), 'pixel_values'
    for i, conv in enumerate((m.conv1, m.conv2, m.conv3), 1):
        weight, bias = g.weight(conv.weight, f'conv{i}.weight'), g.weight(conv.bias, f'conv{i}.bias')
        x = g.op('Conv', x, weight, bias, kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])
        x = g.op('Relu', x) if i < 3 else x
    width = m.config['vw']
    x = g.op('Transpose', g.op('Reshape', x, g.shape(0, width, PATCHES)), perm=[0, 2, 1])
    batch = g.op('Slice', g.op('Shape', x), g.shape(0), g.shape(1))
    token = g.weight(m.class_token.view(1, 1, width), 'class_embedding')
    token = g.op('Expand', token, g.op('Concat', batch, g.shape(1, width), axis=0))
    x = g.op('Add', g.op('Concat', token, x, axis=1), g.weight(m.image_positions, 'positional_embedding'))
    x = g.layer_norm(x, m.ln_pre, 'ln_pre')
    for i, block in enumerate(m.image_blocks):
        x = g.block(x, block, 1 + PATCHES, f'transformer.{i}')
    x = g.layer_norm(g.op('Gather', x, g.constant(np.int64(0)), axis=1), m.ln_post, 'ln_post')
    g.op('MatMul', x, g.weight(m.image_projection, 'proj'), out='output')
    g.save(str(path), VISUAL_INPUTS, 'visual')


@torch.no_grad()
def differences(m: CLIP, known: list[int], out: Path, tokenizer: Tokenizer) -> tuple[float, float]:
    """Largest difference of onnxruntime's output to torch's: texts, images. fp16 weights leave some 1e-2."""
    textual, visual = (ort.InferenceSession(out / f'{name}.onnx', providers=['CPUExecutionProvider'])
                       for name in ('textual', 'visual'))
    ids = tokenizer(['a red circle', 'three blue squares on a white background', 'a large star above a heart',
                     'circle ' * 200])
    assert np.isin(ids, known + [0]).all(), 'torch has no rows of their own for unknown tokens'
    texts = textual.run(None, dict(input_ids=ids, attention_mask=(ids > 0).astype(np.int32)))[0]
    images = np.random.RandomState(0).randn(3, 3, SIZE, SIZE).astype(np.float32)
    pixels = visual.run(None, dict(pixel_values=images))[0]
    return (float(np.abs(m.text(torch.from_numpy(ids).long()).numpy() - texts).max()),
            float(np.abs(m.image(torch.from_numpy(images)).numpy() - pixels).max()))


def describe(m: CLIP, checkpoint: dict, tokenizer: Tokenizer, hashes: dict[str, str]) -> dict:
    """config.json; evaluate.py fills in the accuracies."""
    log = checkpoint['log']
    return dict(
        name='tiny-scenes', family='openai-clip', embed_dim=DIM, image_size=SIZE, mean=MEAN, std=STD,
        interpolation='bicubic', resize='shorter side', crop='center', colour='RGB', context_length=CONTEXT,
        vocab_size=VOCABULARY, sot=tokenizer.sot, eot=tokenizer.eot, vocab=VOCABULARY_FILE,
        inputs=dict(textual=TEXTUAL_INPUTS, visual=VISUAL_INPUTS),
        output=dict(name='output', type='float32', shape=['batch', DIM], normalized=False),
        logit_scale=round(min(m.scale.detach().exp().item(), 100), 2), shapes=SHAPES, colours=COLOURS, sha256=hashes,
        training=dict(**checkpoint['facts'], parameters=sum(p.numel() for p in m.parameters()),
                      known_tokens=len(checkpoint['known']), torch=torch.__version__,
                      architecture=checkpoint['config'], device='cpu',
                      loss_log=log[::max(1, len(log) // 24)] + log[-1:]))


def export(checkpoint_path: str, folder: str, tokenizer: Tokenizer, vocabulary: str) -> None:
    """Writes a complete model folder: the two graphs, the merges and config.json."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = torch.load(checkpoint_path)
    m = CLIP(checkpoint['known'], **checkpoint['config'])
    m.load_state_dict(checkpoint['ema'])
    m.eval()
    write_textual(m, out / 'textual.onnx')
    write_visual(m, out / 'visual.onnx')
    text, image = differences(m, checkpoint['known'], out, tokenizer)
    print(f'exported; largest difference to torch (fp16 weights): text {text:.4f}, image {image:.4f}')
    if not (out / VOCABULARY_FILE).exists():
        shutil.copyfile(vocabulary, out / VOCABULARY_FILE)
    hashes = {name: hashlib.sha256((out / name).read_bytes()).hexdigest()
              for name in ('textual.onnx', 'visual.onnx', VOCABULARY_FILE)}
    config = describe(m, checkpoint, tokenizer, hashes)
    (out / 'config.json').write_text(json.dumps(config, indent=1))
