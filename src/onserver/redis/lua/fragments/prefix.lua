-- include: ground
-- The beginning of a script that does not look into `server` for more.
-- each run:
heed(redis.call('HGET', T .. 'server', 'rare'))
