import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { npyHeader } from '../../../src/jobs/npy.js';

describe('npyHeader', () => {
  // numpy 1.26: `numpy.save` of numpy.zeros((3, 512), '<f4'), the bytes before the numbers.
  test('is what NumPy writes', () => {
    const written =
      'k05VTVBZAQB2AHsnZGVzY3InOiAnPGY0JywgJ2ZvcnRyYW5fb3JkZXInOiBGYWxzZSwgJ3NoYXBlJzogKDMsIDUxMiksIH0gICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIAo=';
    assert.deepEqual(npyHeader(3, 512), Buffer.from(written, 'base64'));
  });

  test('keeps the numbers aligned', () => {
    for (const rows of [0, 7, 10 ** 6, 10 ** 12]) assert.equal(npyHeader(rows, 768).length % 64, 0);
  });
});
