/** Pixels as rows of interleaved 8-bit channels. */
export interface Pixels {
  data: Uint8Array;
  width: number;
  height: number;
  channels: number;
}

/** The part of a resized picture that is wanted: resize to `width` x `height`, then cut a rectangle out. */
export interface Target {
  width: number;
  height: number;
  left: number;
  top: number;
  cropWidth: number;
  cropHeight: number;
}

export type Interpolation = 'bicubic' | 'bilinear';

const FILTERS: Record<Interpolation, { support: number; weight: (x: number) => number }> = {
  // Keys' cubic with a = -0.5.
  bicubic: {
    support: 2,
    weight: (x) => {
      const d = Math.abs(x);
      if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
      return d < 2 ? -0.5 * (((d - 5) * d + 8) * d - 4) : 0;
    },
  },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
};

// Pillow's fixed point: 8 bits of result and 2 of headroom leave 22 of a 32-bit integer for the weights.
const PRECISION = 22;

interface Axis {
  /** First input sample of each output sample. */
  starts: Int32Array;
  counts: Int32Array;
  /** `taps` weights for each output sample. */
  weights: Int32Array;
  taps: number;
}

/** Weights of the outputs `from` .. `from + count` when `inSize` samples become `outSize` (Pillow's precompute_coeffs). */
function axisWeights(inSize: number, outSize: number, from: number, count: number, kind: Interpolation): Axis {
  const { support: radius, weight } = FILTERS[kind];
  const scale = inSize / outSize;
  const stretch = Math.max(1, scale);
  const support = radius * stretch;
  const taps = Math.ceil(support) * 2 + 1;
  const axis = {
    starts: new Int32Array(count),
    counts: new Int32Array(count),
    weights: new Int32Array(count * taps),
    taps,
  };
  for (let i = 0; i < count; i++) {
    const centre = (from + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support + 0.5));
    const n = Math.min(inSize, Math.trunc(centre + support + 0.5)) - start;
    const raw = Array.from({ length: n }, (_, k) => weight((start + k - centre + 0.5) * (1 / stretch)));
    const sum = raw.reduce((a, b) => a + b, 0);
    axis.starts[i] = start;
    axis.counts[i] = n;
    for (const [k, w] of raw.entries()) {
      const scaled = (w / sum) * (1 << PRECISION);
      axis.weights[i * taps + k] = Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    }
  }
  return axis;
}

/**
 * One pass along one axis. The source is seen as `lines` lines whose samples lie `step` apart, and so is the result.
 * Both passes (rows, columns) are this loop with other strides.
 */
function pass(
  source: Uint8Array,
  result: Uint8Array,
  axis: Axis,
  lines: { count: number; channels: number; sourceLine: number; sourceStep: number; line: number; step: number },
): void {
  const { starts, counts, weights, taps } = axis;
  for (let line = 0; line < lines.count; line++) {
    for (let i = 0; i < starts.length; i++) {
      const n = counts[i] as number;
      const first = line * lines.sourceLine + (starts[i] as number) * lines.sourceStep;
      for (let c = 0; c < lines.channels; c++) {
        let sum = 1 << (PRECISION - 1);
        for (let k = 0, at = first + c; k < n; k++, at += lines.sourceStep) {
          sum += (source[at] as number) * (weights[i * taps + k] as number);
        }
        const value = sum >> PRECISION;
        result[line * lines.line + i * lines.step + c] = value < 0 ? 0 : value > 255 ? 255 : value;
      }
    }
  }
}

/**
 * Pillow's `Image.resize` for 8-bit pictures, bit for bit, computed only where `target` is cut out.
 * Alpha (2 or 4 channels) is multiplied in before and divided out after, as Pillow does.
 * Source: Pillow, src/libImaging/Resample.c and Convert.c.
 */
export function resample(source: Pixels, target: Target, kind: Interpolation): Pixels {
  const { channels } = source;
  const alpha = channels === 2 || channels === 4;
  const data = alpha ? premultiply(source) : source.data;
  const columns = axisWeights(source.width, target.width, target.left, target.cropWidth, kind);
  const rows = axisWeights(source.height, target.height, target.top, target.cropHeight, kind);
  const firstRow = rows.starts[0] ?? 0;
  const lastRow = (rows.starts.at(-1) ?? 0) + (rows.counts.at(-1) ?? 0);
  const rowLength = target.cropWidth * channels;

  const narrow = new Uint8Array((lastRow - firstRow) * rowLength);
  pass(data.subarray(firstRow * source.width * channels), narrow, columns, {
    count: lastRow - firstRow,
    channels,
    sourceLine: source.width * channels,
    sourceStep: channels,
    line: rowLength,
    step: channels,
  });

  const result = new Uint8Array(target.cropHeight * rowLength);
  rows.starts.forEach((start, i) => (rows.starts[i] = start - firstRow));
  pass(narrow, result, rows, {
    count: target.cropWidth,
    channels,
    sourceLine: channels,
    sourceStep: rowLength,
    line: channels,
    step: rowLength,
  });
  if (alpha) unpremultiply(result, channels);
  return { data: result, width: target.cropWidth, height: target.cropHeight, channels };
}

/** Pillow's `Image.resize` with NEAREST, which is what it does to palette and 1-bit pictures whatever filter is asked for. */
export function resampleNearest(source: Pixels, target: Target): Pixels {
  const { channels } = source;
  const columns = nearest(source.width, target.width).subarray(target.left, target.left + target.cropWidth);
  const rows = nearest(source.height, target.height).subarray(target.top, target.top + target.cropHeight);
  const data = new Uint8Array(columns.length * rows.length * channels);
  let at = 0;
  for (const row of rows) {
    for (const column of columns) {
      const from = (row * source.width + column) * channels;
      for (let c = 0; c < channels; c++) data[at++] = source.data[from + c] as number;
    }
  }
  return { data, width: target.cropWidth, height: target.cropHeight, channels };
}

/** Input sample of each output sample; summed up rather than multiplied, for Pillow's rounding. */
function nearest(inSize: number, outSize: number): Int32Array {
  const step = inSize / outSize;
  const samples = new Int32Array(outSize);
  for (let i = 0, at = step * 0.5; i < outSize; i++, at += step) samples[i] = Math.min(inSize - 1, Math.trunc(at));
  return samples;
}

function premultiply({ data, channels }: Pixels): Uint8Array {
  const result = new Uint8Array(data.length);
  for (let i = 0; i < data.length; i += channels) {
    const alpha = data[i + channels - 1] as number;
    for (let c = 0; c < channels - 1; c++) {
      const product = (data[i + c] as number) * alpha + 128;
      result[i + c] = ((product >> 8) + product) >> 8;
    }
    result[i + channels - 1] = alpha;
  }
  return result;
}

function unpremultiply(data: Uint8Array, channels: number): void {
  for (let i = 0; i < data.length; i += channels) {
    const alpha = data[i + channels - 1] as number;
    if (alpha === 0 || alpha === 255) continue;
    for (let c = 0; c < channels - 1; c++) {
      data[i + c] = Math.min(255, Math.trunc((255 * (data[i + c] as number)) / alpha));
    }
  }
}
