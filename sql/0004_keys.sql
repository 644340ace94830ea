-- 0004: turns of no chat are forgotten as a whole, when their client's key is.

DROP INDEX runnel.turn_journaled;
CREATE INDEX turn_journaled ON runnel.turn (ended_at) WHERE has_journal AND chat IS NOT NULL;
CREATE INDEX turn_chatless  ON runnel.turn (ended_at) WHERE chat IS NULL;
