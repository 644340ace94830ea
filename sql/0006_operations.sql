-- 0006: operations, the work of tools that goes on when their turn has ended.

CREATE TABLE runnel.operation (
    tenant       integer     NOT NULL,
    id           text        NOT NULL CHECK (length(id) BETWEEN 1 AND 100),
    chat         bigint      NOT NULL,
    turn         text        NOT NULL,
    call         text        NOT NULL,
    tool         text        NOT NULL,
    arguments    bytea       NOT NULL CHECK (length(arguments) = 32),
    model        text        NOT NULL,
    api_key      bigint      NOT NULL,
    account      bigint      NOT NULL,
    is_limited   boolean     NOT NULL,
    output_limit bigint      NOT NULL,
    state        text        NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'completed', 'failed', 'expired')),
    output       text        NOT NULL DEFAULT '',
    is_due       boolean     NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, chat) REFERENCES runnel.chat (tenant, id) ON DELETE CASCADE,
    FOREIGN KEY (tenant, turn) REFERENCES runnel.turn (tenant, id) ON DELETE CASCADE,
    CHECK ((state = 'running') = (ended_at IS NULL))
);
COMMENT ON TABLE  runnel.operation IS 'What a tool does when its turn has ended, until somebody says what it came to; and for a day after that.';
COMMENT ON COLUMN runnel.operation.tenant IS 'Whose it is.';
COMMENT ON COLUMN runnel.operation.id IS 'Its name at the service that does it; nobody can guess it.';
COMMENT ON COLUMN runnel.operation.chat IS 'Where what it comes to is told.';
COMMENT ON COLUMN runnel.operation.turn IS 'The turn that wanted it.';
COMMENT ON COLUMN runnel.operation.call IS 'The id of the call in that turn''s answer.';
COMMENT ON COLUMN runnel.operation.tool IS 'The tool, as the model calls it.';
COMMENT ON COLUMN runnel.operation.arguments IS 'SHA-256 of the call''s arguments, to notice the same call while this one is running.';
COMMENT ON COLUMN runnel.operation.model IS 'Who is told what it came to.';
COMMENT ON COLUMN runnel.operation.api_key IS 'Who pays for that; 0: no key.';
COMMENT ON COLUMN runnel.operation.account IS 'Who pays for that; 0: no account.';
COMMENT ON COLUMN runnel.operation.is_limited IS 'An allowance speaks of who pays.';
COMMENT ON COLUMN runnel.operation.output_limit IS 'How many bytes of its output a model gets.';
COMMENT ON COLUMN runnel.operation.state IS 'expired: nobody has said in time what it came to.';
COMMENT ON COLUMN runnel.operation.output IS 'What it came to, in words for the model.';
COMMENT ON COLUMN runnel.operation.is_due IS 'It has ended, and its output does not stand in the answer yet.';
COMMENT ON COLUMN runnel.operation.created_at IS 'When it was wanted.';
COMMENT ON COLUMN runnel.operation.expires_at IS 'Until when it may be completed.';
COMMENT ON COLUMN runnel.operation.ended_at IS 'When it was completed, or given up.';
-- The same call is not made twice at the same time, by whomever.
CREATE UNIQUE INDEX operation_running ON runnel.operation (tenant, chat, tool, arguments) WHERE state = 'running';
CREATE INDEX operation_by_chat ON runnel.operation (tenant, chat);
CREATE INDEX operation_by_turn ON runnel.operation (tenant, turn);
-- Who completes one shows its name and does not say whose it is.
CREATE INDEX operation_by_id ON runnel.operation (id);
CREATE INDEX operation_by_expiry ON runnel.operation (expires_at) WHERE state = 'running';
CREATE INDEX operation_due ON runnel.operation (tenant, chat) WHERE is_due;
CREATE INDEX operation_by_end ON runnel.operation (ended_at) WHERE ended_at IS NOT NULL;

ALTER TABLE runnel.pending ADD COLUMN is_operations boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN runnel.pending.is_operations IS 'It is no question of anybody''s: the model is told what an operation came to.';
