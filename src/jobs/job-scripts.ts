import type { Redis } from 'ioredis';

/** Changes that must happen as one, or not at all. */
const SCRIPTS = {
  /** KEYS: job, jobs of the owner, unfinished of the owner, open. ARGV: id, spec, created at. */
  clipflowCreate: {
    numberOfKeys: 4,
    lua: `
      if redis.call('HSETNX', KEYS[1], 'spec', ARGV[2]) == 0 then return 0 end
      redis.call('HSET', KEYS[1], 'status', 'validating', 'at:validating', ARGV[3])
      redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
      redis.call('SADD', KEYS[3], ARGV[1])
      redis.call('SADD', KEYS[4], ARGV[1])
      return 1`,
  },
  /** KEYS: job. ARGV: the states that it may be in, fields and values. */
  clipflowMove: {
    numberOfKeys: 1,
    lua: `
      local status = redis.call('HGET', KEYS[1], 'status')
      if not status or not string.find(' ' .. ARGV[1] .. ' ', ' ' .. status .. ' ', 1, true) then return 0 end
      redis.call('HSET', KEYS[1], unpack(ARGV, 2))
      return 1`,
  },
  /** KEYS: job, chunks. ARGV: chunk, completed, failed. */
  clipflowChunkDone: {
    numberOfKeys: 2,
    lua: `
      local status = redis.call('HGET', KEYS[1], 'status')
      if status ~= 'in_progress' and status ~= 'completed' then return 0 end
      local completed, failed = tonumber(ARGV[2]), tonumber(ARGV[3])
      local earlier = redis.call('HGET', KEYS[2], ARGV[1])
      if earlier then
        local c, f = string.match(earlier, '(%d+) (%d+)')
        completed, failed = completed - tonumber(c), failed - tonumber(f)
      else
        redis.call('HINCRBY', KEYS[1], 'chunksDone', 1)
      end
      redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
      redis.call('HINCRBY', KEYS[1], 'completed', completed)
      redis.call('HINCRBY', KEYS[1], 'failed', failed)
      local done, all = redis.call('HGET', KEYS[1], 'chunksDone'), redis.call('HGET', KEYS[1], 'chunks')
      return tonumber(done) >= tonumber(all) and 1 or 0`,
  },
  /** KEYS: job, chunks. ARGV: chunk. */
  clipflowChunkUndone: {
    numberOfKeys: 2,
    lua: `
      local earlier = redis.call('HGET', KEYS[2], ARGV[1])
      if not earlier then return 0 end
      local c, f = string.match(earlier, '(%d+) (%d+)')
      -- Lua's -0 is no integer to Redis.
      redis.call('HDEL', KEYS[2], ARGV[1])
      redis.call('HINCRBY', KEYS[1], 'chunksDone', -1)
      redis.call('HINCRBY', KEYS[1], 'completed', 0 - tonumber(c))
      redis.call('HINCRBY', KEYS[1], 'failed', 0 - tonumber(f))
      return 1`,
  },
  /** KEYS: when the owner's turn is next. ARGV: documents, documents per second. */
  clipflowTurn: {
    numberOfKeys: 1,
    lua: `
      local time = redis.call('TIME')
      local now = time[1] * 1000 + math.floor(time[2] / 1000)
      local next = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now - 1000)
      local after = next + math.ceil(ARGV[1] * 1000 / ARGV[2])
      redis.call('SET', KEYS[1], after, 'PX', math.max(1, after - now + 2000))
      return math.max(0, next - now)`,
  },
} as const;

/** A connection that knows the scripts: keys first, then arguments. */
export type BookRedis = Redis & Record<keyof typeof SCRIPTS, (...args: (string | number)[]) => Promise<number>>;

export function defineScripts(redis: Redis): BookRedis {
  for (const [name, script] of Object.entries(SCRIPTS)) redis.defineCommand(name, script);
  return redis as BookRedis;
}
