-- 0003: what a minute has seen, and which turns were counted.

ALTER TABLE runnel.reservation ADD COLUMN minute timestamptz NOT NULL DEFAULT date_trunc('minute', now());
COMMENT ON COLUMN runnel.reservation.minute IS 'The minute in which it was made, and counted.';

CREATE TABLE runnel.pace (
    tenant    integer     NOT NULL,
    allowance bigint      NOT NULL,
    minute    timestamptz NOT NULL,
    requests  bigint      NOT NULL,
    tokens    bigint      NOT NULL,
    PRIMARY KEY (tenant, allowance, minute),
    FOREIGN KEY (tenant, allowance) REFERENCES runnel.allowance (tenant, id) ON DELETE CASCADE
);
COMMENT ON TABLE  runnel.pace IS 'What was begun under an allowance, minute by minute; kept for some minutes.';
COMMENT ON COLUMN runnel.pace.tenant IS 'Whose it is.';
COMMENT ON COLUMN runnel.pace.allowance IS 'Of which allowance.';
COMMENT ON COLUMN runnel.pace.minute IS 'When the minute began.';
COMMENT ON COLUMN runnel.pace.requests IS 'Turns begun.';
COMMENT ON COLUMN runnel.pace.tokens IS 'Tokens they reserved or, once they have ended, used.';
CREATE INDEX pace_by_age ON runnel.pace (minute);

CREATE TABLE runnel.billed (
    tenant integer     NOT NULL REFERENCES runnel.tenant (id),
    turn   text        NOT NULL,
    at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, turn)
);
COMMENT ON TABLE  runnel.billed IS 'The turns that usage has counted, for some days: none is counted twice.';
COMMENT ON COLUMN runnel.billed.tenant IS 'Whose turn it was.';
COMMENT ON COLUMN runnel.billed.turn IS 'Which.';
COMMENT ON COLUMN runnel.billed.at IS 'When it was counted.';
CREATE INDEX billed_by_age ON runnel.billed (at);
