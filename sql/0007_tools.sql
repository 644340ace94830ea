-- 0007: tools that a tenant has of its own, beside those of the settings.

-- The sizes are those that the program holds one to (settings_tools.c), with room for it to change its mind.
CREATE TABLE runnel.tool (
    tenant           integer     NOT NULL REFERENCES runnel.tenant (id),
    name             text        NOT NULL CHECK (name ~ '^[A-Za-z0-9_-]{1,64}$'),
    description      text        NOT NULL DEFAULT '' CHECK (octet_length(description) <= 16384),
    method           text        NOT NULL DEFAULT 'GET' CHECK (method IN ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')),
    url              text        NOT NULL CHECK (octet_length(url) BETWEEN 1 AND 8192),
    parameters       json        NOT NULL DEFAULT '{"type":"object","properties":{}}'
                                 CHECK (octet_length(parameters::text) <= 262144),
    headers          text[]      NOT NULL DEFAULT '{}' CHECK (cardinality(headers) <= 100),
    models           text[],
    timeout_ms       integer     NOT NULL DEFAULT 120000 CHECK (timeout_ms > 0),
    max_output_bytes integer     NOT NULL DEFAULT 102400 CHECK (max_output_bytes > 0),
    runs_alone       boolean     NOT NULL DEFAULT false,
    is_disabled      boolean     NOT NULL DEFAULT false,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, name)
);
COMMENT ON TABLE  runnel.tool IS 'A web service that models may ask for a tenant; never at an address that is not public.';
COMMENT ON COLUMN runnel.tool.tenant IS 'Who may use it.';
COMMENT ON COLUMN runnel.tool.name IS 'What models call it. Of one name a tool of the settings is meant.';
COMMENT ON COLUMN runnel.tool.description IS 'What it is good for, in words for the model.';
COMMENT ON COLUMN runnel.tool.method IS 'How it is asked.';
COMMENT ON COLUMN runnel.tool.url IS 'Where it is, with {argument} behind the host.';
COMMENT ON COLUMN runnel.tool.parameters IS 'What it takes: a JSON schema of an object, as it was written.';
COMMENT ON COLUMN runnel.tool.headers IS 'Header fields that go with every request. Secrets: no command shows them.';
COMMENT ON COLUMN runnel.tool.models IS 'The models that may use it; NULL: all that use tenants'' tools.';
COMMENT ON COLUMN runnel.tool.timeout_ms IS 'The longest that one run may take.';
COMMENT ON COLUMN runnel.tool.max_output_bytes IS 'How much of its output a model gets.';
COMMENT ON COLUMN runnel.tool.runs_alone IS 'It is not run beside others that were asked for at the same time.';
COMMENT ON COLUMN runnel.tool.is_disabled IS 'Nobody may use it for now.';
COMMENT ON COLUMN runnel.tool.created_at IS 'When it was added.';
COMMENT ON COLUMN runnel.tool.updated_at IS 'When anything here last changed.';
