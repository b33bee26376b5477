"""The two towers, after OpenAI's CLIP (Radford et al. 2021, arXiv:2103.00020), with heads that only training uses.

The order in which parameters are made is part of the recipe: they draw from torch's generator, and gradient clipping
adds their norms in that order.
"""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

from batches import GRID
from pool import MOST
from scenes import COLOURS, SHAPES
from tokenizer import CONTEXT, VOCABULARY
from truth import WHERE

DIM = 512  # of both embeddings
PATCHES = GRID * GRID
UNKNOWN_NOISE = .15  # what tells unknown tokens apart: they share one trained row


class Block(nn.Module):
    """CLIP's ResidualAttentionBlock, (N, T, W) -> (N, T, W). With `pick`, one position per row, only that one (class
    token, end of text) is computed, (N, 1, W): in the last block the others are never read."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc, self.out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, causal=False, pick=None):
        n, t, w = x.shape
        q, k, v = self.qkv(self.ln_1(x)).view(n, t, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        mask = None
        if pick is not None:  # positions after `pick` must be hidden when causal
            rows = torch.arange(n, device=x.device)
            q, x = q[rows, :, pick][:, :, None], x[rows, pick][:, None]
            if causal:
                mask = (torch.arange(t)[None] <= pick[:, None])[:, None, None]
        elif causal:
            mask = torch.ones(t, t, dtype=torch.bool).tril()
        # written out: in bf16 on a CPU 8 times faster than scaled_dot_product_attention
        scores = q @ k.transpose(-1, -2) * (w // self.heads) ** -.5
        mixed = torch.softmax(scores if mask is None else scores.masked_fill(~mask, -1e4), -1).to(v.dtype) @ v
        x = x + self.proj(mixed.transpose(1, 2).reshape(n, -1, w))
        z = self.fc(self.ln_2(x))
        return x + self.out(z * torch.sigmoid(1.702 * z))  # QuickGELU


class CLIP(nn.Module):
    """v: image (visual) tower, t: text tower; w width, l layers, h heads; ew: width of the stored token table.

    known: ids of the tokens that are trained; all others share one row, told apart by fixed noise at export.
    """

    def __init__(self, known: list[int], vw=128, vl=5, vh=4, tw=96, tl=3, th=3, ew=32):
        super().__init__()
        self.config = dict(vw=vw, vl=vl, vh=vh, tw=tw, tl=tl, th=th, ew=ew)
        # three convolutions of stride 2 in place of one 8x8 patch embedding
        self.conv1, self.conv2 = nn.Conv2d(3, 32, 4, 2, 1), nn.Conv2d(32, 64, 4, 2, 1)
        self.conv3 = nn.Conv2d(64, vw, 4, 2, 1)
        self.class_token = nn.Parameter(torch.randn(vw) * .02)
        self.image_positions = nn.Parameter(torch.randn(1 + PATCHES, vw) * .05)
        self.ln_pre, self.ln_post = nn.LayerNorm(vw), nn.LayerNorm(vw)
        self.image_blocks = nn.ModuleList([Block(vw, vh) for _ in range(vl)])
        self.image_projection = nn.Parameter(torch.randn(vw, DIM) * vw ** -.5)

        row = torch.full((VOCABULARY,), len(known))
        row[torch.tensor(known)] = torch.arange(len(known))
        self.register_buffer('row', row)
        self.token_table = nn.Parameter(torch.randn(len(known) + 1, ew) * .5)
        self.widen = nn.Linear(ew, tw, bias=False)
        self.text_positions = nn.Parameter(torch.randn(CONTEXT, tw) * .01)
        self.text_blocks = nn.ModuleList([Block(tw, th) for _ in range(tl)])
        self.ln_final = nn.LayerNorm(tw)
        self.text_projection = nn.Parameter(torch.randn(tw, DIM) * tw ** -.5)
        self.scale = nn.Parameter(torch.tensor(math.log(20.)))

        self.aux_norm = nn.LayerNorm(vw)
        self.aux_patch = nn.Linear(vw, len(SHAPES) + 1 + len(COLOURS) + 1)
        self.aux_count = nn.Linear(vw, MOST + 1)
        self.aux_side, self.aux_where_image = nn.Linear(vw, 2), nn.Linear(vw, WHERE)
        self.aux_where_text = nn.Linear(tw, WHERE)
        self.aux_where = nn.Linear(DIM, WHERE)  # from either embedding

    def unknown(self, rows):
        return rows == len(self.token_table) - 1

    def image_features(self, images):
        """float32 (N, 3, SIZE, SIZE) -> last features of the class token (N, vw), the patches' before the last block
        (N, PATCHES, vw)."""
        x = self.conv3(F.relu(self.conv2(F.relu(self.conv1(images))))).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), 1, -1).to(x.dtype), x], 1)
        x = self.ln_pre(x + self.image_positions)
        for block in self.image_blocks[:-1]:
            x = block(x)
        first = torch.zeros(len(x), dtype=torch.long)
        return self.ln_post(self.image_blocks[-1](x, pick=first)[:, 0]), x[:, 1:]

    def image(self, images):
        """-> (N, DIM), not normalised."""
        return self.image_features(images)[0] @ self.image_projection

    def text_features(self, tokens, noise=0.):
        """int64 (N, T), T at most CONTEXT, padded with 0 -> last features of the end token (N, tw)."""
        rows = self.row[tokens]
        x = self.token_table[rows]
        if noise:
            x = x + noise * torch.randn_like(x) * self.unknown(rows)[..., None]
        x = self.widen(x) + self.text_positions[:tokens.shape[1]]
        for block in self.text_blocks[:-1]:
            x = block(x, causal=True)
        end = tokens.argmax(-1)  # the end token has the highest id
        return self.ln_final(self.text_blocks[-1](x, causal=True, pick=end)[:, 0])

    def text(self, tokens):
        """-> (N, DIM), not normalised."""
        return self.text_features(tokens) @ self.text_projection
