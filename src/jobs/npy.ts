const MAGIC = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 0x01, 0x00]);
const ALIGNMENT = 64;

/**
 * What stands before the numbers of a NumPy file: version 1.0, little-endian float32 (rows, columns) in C order
 * (numpy/lib/format.py).
 */
export function npyHeader(rows: number, columns: number): Buffer {
  const description = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${columns}), }`;
  const fixed = MAGIC.length + 2;
  const padded = Math.ceil((fixed + description.length + 1) / ALIGNMENT) * ALIGNMENT;
  const text = `${description.padEnd(padded - fixed - 1)}\n`;
  const length = Buffer.alloc(2);
  length.writeUInt16LE(text.length);
  return Buffer.concat([MAGIC, length, Buffer.from(text, 'latin1')]);
}
