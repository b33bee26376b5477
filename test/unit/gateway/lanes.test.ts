import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Batch, Item, laneSpec, type Priority } from '../../../gateway/dispatch/item.js';
import { Lanes, type BulkRoom } from '../../../gateway/dispatch/lanes.js';

const LANE = laneSpec('/encode', 'text', {});
/** While no interactive requests come. */
const ALL: BulkRoom = { documents: () => 4, only: true };
/** While they do: on a replica that has nothing else, and behind another batch. */
const SMALL: BulkRoom = { documents: () => 2, only: true };
const BEHIND: BulkRoom = { documents: () => 2, only: false };

function items(words: string, priority: Priority): Item[] {
  return words.split(' ').map((word) => new Item(Buffer.from(word), LANE, { caller: '', priority }, () => {}));
}

function lanesOf(interactive: string, bulk: string): Lanes {
  const lanes = new Lanes();
  if (bulk) for (const item of items(bulk, 'bulk')) lanes.push(item);
  if (interactive) for (const item of items(interactive, 'interactive')) lanes.push(item);
  return lanes;
}

function shown(batch: Batch | undefined): string | undefined {
  return batch?.items.map(({ doc }) => Buffer.from(doc).toString()).join(' ');
}

describe('room for bulk work', () => {
  test('fills up what interactive work leaves of a batch', () => {
    const lanes = lanesOf('i1', 'b1 b2 b3 b4');
    assert.equal(shown(lanes.next(4, ALL)), 'i1 b1 b2 b3');
    assert.equal(shown(lanes.next(4, ALL)), 'b4');
    assert.equal(lanes.next(4, ALL), undefined);
  });

  test('a batch is not filled up past what it allows', () => {
    const lanes = lanesOf('i1', 'b1 b2 b3 b4');
    assert.equal(shown(lanes.next(4, SMALL)), 'i1 b1');
    assert.equal(shown(lanes.next(4, SMALL)), 'b2 b3');
    assert.equal(shown(lanesOf('i1 i2 i3', 'b1').next(4, SMALL)), 'i1 i2 i3');
  });

  test('behind another batch bulk work only goes along with interactive work', () => {
    const lanes = lanesOf('i1', 'b1 b2');
    assert.equal(shown(lanes.next(4, BEHIND)), 'i1 b1');
    assert.equal(lanes.next(4, BEHIND), undefined);
    assert.equal(shown(lanes.next(4, SMALL)), 'b2');
  });

  test('after seven interactive batches it goes first, behind another batch too', () => {
    const lanes = lanesOf('i1 i2 i3 i4 i5 i6 i7 i8', 'b1 b2 b3');
    const seen = Array.from({ length: 10 }, () => shown(lanes.next(1, { documents: () => 1, only: false })));
    assert.deepEqual(seen, ['i1', 'i2', 'i3', 'i4', 'i5', 'i6', 'i7', 'b1', 'i8', undefined]);
  });

  test('what is tried again is bulk work as well: cut to what there is room for, and behind interactive work', () => {
    const lanes = lanesOf('i1', '');
    lanes.pushAgain([new Batch(LANE, items('b1 b2 b3', 'bulk'))]);
    assert.equal(shown(lanes.next(4, BEHIND)), 'i1');
    assert.equal(lanes.next(4, BEHIND), undefined);
    assert.equal(shown(lanes.next(4, SMALL)), 'b1 b2');
    assert.equal(shown(lanes.next(4, SMALL)), 'b3');
  });

  test('interactive work that is tried again goes before all', () => {
    const lanes = lanesOf('i1', 'b1');
    lanes.pushAgain([new Batch(LANE, items('a1 a2', 'interactive'))]);
    assert.equal(shown(lanes.next(4, BEHIND)), 'a1 a2');
  });
});
