-- 0002: messages that are written once however often they are sent; journals that outlive their turns.

ALTER TABLE runnel.message ADD COLUMN once text CHECK (length(once) <= 200);
COMMENT ON COLUMN runnel.message.once IS 'What its writer calls it, so that writing it again changes nothing; NULL: its turn guards it.';
CREATE UNIQUE INDEX message_once ON runnel.message (tenant, chat, once) WHERE once IS NOT NULL;

-- Who reads an answer may come back a little late, so a journal stays for a while.
ALTER TABLE runnel.turn ADD COLUMN has_journal boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN runnel.turn.has_journal IS 'It has ended and its journal is still there.';
CREATE INDEX turn_journaled ON runnel.turn (ended_at) WHERE has_journal;
