/* settings.c - the settings table, and what one row cannot check by itself. */
#include "base/settings.h"

#include "base/address.h"
#include "base/mem.h"
#include "base/settings_rows.h"

#include <limits.h>

/* ---- what a text may be ------------------------------------------------------- */

static bool is_header_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
              s.p[i] == '-'))
            return false;
    return s.n > 0 && s.n <= 64;
}

static bool is_origin(struct str s)
{
    struct str rest;

    if (str_eq(s, STR("*")))
        return true;
    if (str_starts(s, STR("https://")))
        rest = str_from(s, 8);
    else if (str_starts(s, STR("http://")))
        rest = str_from(s, 7);
    else
        return false;
    for (size_t i = 0; i < rest.n; i++)
        if ((unsigned char)rest.p[i] <= ' ' || rest.p[i] == '/' || (unsigned char)rest.p[i] >= 0x7f)
            return false;
    return rest.n > 0;
}

static const char *star_stands_alone(const struct conf_texts *origins)
{
    for (size_t i = 0; origins->n > 1 && i < origins->n; i++)
        if (str_eq(origins->items[i], STR("*")))
            return "\"*\" must stand alone";
    return NULL;
}

static bool is_workers(struct str s)
{
    uint64_t n;

    return str_eq(s, STR("auto")) || (str_to_u64(s, &n) && n >= 1 && n <= 128);
}

static bool is_short(struct str s)
{
    return s.n < PATH_MAX;
}

/* ---- the table -------------------------------------------------------------------- */

static const char *const levels[] = { "debug", "info", "warn", "error", NULL };
static const char *const formats[] = { "logfmt", "json", NULL };

static const struct conf_field log_rows[] = {
    CHOICE("level", settings, log_level, "info", levels,
           "The least important lines that are written."),
    CHOICE("format", settings, log_format, "logfmt", formats, "How a line is written."), END
};
static const struct conf_record log_record = { .fields = log_rows };

static const struct conf_field http_rows[] = {
    COUNT("max_connections", http_settings, max_connections, "10000", 1, 1000000,
          "Client connections at once; beyond it: 503. The descriptor limit may lower it."),
    COUNT("max_requests_per_connection", http_settings, max_requests_per_connection, "10000", 1,
          1000000000, "Then the connection is closed after its answer."),
    BYTES("max_header_bytes", http_settings, max_header_bytes, "16KiB", 1 * KIB, 1 * MIB,
          "A request's head; beyond it: 431."),
    COUNT("max_headers", http_settings, max_headers, "100", 1, 1000,
          "Header fields; beyond it: 431."),
    BYTES("max_uri_bytes", http_settings, max_uri_bytes, "8KiB", 64, 1 * MIB,
          "The request target; beyond it: 414."),
    BYTES("max_body_bytes", http_settings, max_body_bytes, "8MiB", 1 * KIB, 1024u * MIB,
          "A request's body; beyond it: 413."),
    TIME("header_timeout", http_settings, header_timeout, "10s", 10, 3600,
         "From the first byte of a head to its last; beyond it: 408."),
    TIME("body_timeout", http_settings, body_timeout, "60s", 10, 3600,
         "From the head to the last byte of the body; beyond it: 408."),
    TIME("idle_timeout", http_settings, idle_timeout, "75s", 10, 86400,
         "An idle connection is closed after this."),
    TIME("write_timeout", http_settings, write_timeout, "30s", 10, 3600,
         "A reader that takes nothing for this long is cut."),
    TIME("linger_timeout", http_settings, linger_timeout, "5s", 10, 60,
         "How long a refused sender may take to read the refusal."),
    TEXTS("trusted_proxies", http_settings, trusted_proxies, address_is_block,
          "addresses or blocks (10.0.0.0/8, ::1)",
          "Peers whose X-Forwarded-For and request id are believed."),
    TEXT("request_id_header", http_settings, request_id_header, "x-request-id", is_header_name,
         "a header name in lower case", "The header a request id comes in and goes out with."),
    { .name = "cors_origins",
      .kind = CONF_TEXTS,
      AT(http_settings, cors_origins),
      .fallback = "",
      .is_good = is_origin,
      .objection = star_stands_alone,
      .expects = "origins (https://app.example) or *",
      .help =
          "Web origins whose pages may call this service. Those of its own host may always open "
          "WebSockets." },
    END
};
static const struct conf_record http_record = { .fields = http_rows };

static const struct conf_field stream_rows[] = {
    TIME("commit_after", stream_settings, commit_after, "1s", 0, 3600,
         "A stream's 200 is held back this long for its first event, so that an early failure "
         "keeps its true status."),
    TIME("heartbeat", stream_settings, heartbeat, "15s", 10, 3600,
         "A silent stream gets a comment this often."),
    BYTES("queue_bytes", stream_settings, queue_bytes, "64KiB", 4 * KIB, 64 * MIB,
          "Bytes that wait for a slow reader before its provider is paused."),
    END
};
static const struct conf_record stream_record = { .fields = stream_rows };

static const struct conf_field websocket_rows[] = {
    BYTES("max_message_bytes", websocket_settings, max_message_bytes, "64KiB", 128, 64 * MIB,
          "A client's message; beyond it: closed with 1009."),
    COUNT("max_frames_per_second", websocket_settings, max_frames, "100", 1, 1000000,
          "Messages, their fragments, pings and pongs of a client; beyond it: closed with 1008."),
    TIME("ping_every", websocket_settings, ping_every, "30s", 10, 3600,
         "A client that says nothing gets a ping this often."),
    TIME("pong_timeout", websocket_settings, pong_timeout, "10s", 10, 3600,
         "Who says nothing to that for so long is gone."),
    TIME("message_timeout", websocket_settings, message_timeout, "60s", 10, 3600,
         "From the first byte of a message to its last; beyond it: closed with 1008."),
    TIME("idle_timeout", websocket_settings, idle_timeout, "1h", 10, 86400,
         "Without a message in either direction a WebSocket is closed after this."),
    END
};
static const struct conf_record websocket_record = { .fields = websocket_rows };

static const struct conf_field turn_rows[] = {
    COUNT("max_running", turn_settings, max_running, "10000", 1, 1000000,
          "Turns answered at once."),
    COUNT("max_waiting", turn_settings, max_waiting, "1000", 0, 1000000,
          "Turns that may wait for a place; beyond it: 503."),
    TIME("max_wait", turn_settings, max_wait, "1s", 0, 3600,
         "How long a turn waits for a place; then: 503."),
    TIME("max_pause", turn_settings, max_pause, "20s", 0, 3600,
         "The longest pause before a failed provider is asked again; if it wants more: its error."),
    TIME("max_time", turn_settings, max_time, "10m", 10, 86400, "The longest a turn may take."),
    COUNT("answer_tokens", turn_settings, answer_tokens, "1024", 1, 10000000,
          "What an answer may use, for the limits, when its question sets no limit."),
    COUNT("max_rounds", turn_settings, max_rounds, "100", 1, 10000,
          "How often one turn goes on with what tools came to; then it ends with an error."),
    BYTES("max_answer_bytes", turn_settings, max_answer_bytes, "16MiB", 1 * KIB, 32 * MIB,
          "The text of one answer; a longer one is ended with an error."),
    COUNT("trace_every", turn_settings, trace_every, "0", 0, 1000000,
          "Writes a line when an answer begins, when somebody is asked for it, and after each so "
          "many of its events; 0: never."),
    TIME("drain_time", turn_settings, drain_time, "30s", 0, 3600,
         "on_leave: drain: how long an answer goes on that nobody reads any more..."),
    COUNT("drain_tokens", turn_settings, drain_tokens, "2000", 0, 10000000,
          "...and about how many tokens it may yet take."),
    TIME("journal_every", turn_settings, journal_every, "1s", 20, 60,
         "What is kept of a running answer is never older than this..."),
    BYTES("journal_bytes", turn_settings, journal_bytes, "4KiB", 64, 16 * MIB,
          "...nor behind it by more than this."),
    TIME("journal_keep", turn_settings, journal_keep, "10m", 0, 86400,
         "How long an answer that has ended can be read again event by event."),
    TIME(
        "key_keep", turn_settings, key_keep, "24h", 0, 31536000,
        "How long an Idempotency-Key is remembered, with its answer, where no conversation keeps it."),
    TIME("lease", turn_settings, lease, "10s", 1000, 600,
         "A process that has said nothing of its turns for this long is taken for dead."),
    TIME(
        "save_wait", turn_settings, save_wait, "30s", 0, 3600,
        "How long a finished answer waits for a database that is away; then it ends with an error."),
    END
};
static const struct conf_record turn_record = { .fields = turn_rows };

static const struct conf_field rows[] = {
    TEXT("listen", settings, listen, "127.0.0.1:8080", address_is_endpoint,
         "an address and port (127.0.0.1:8080, [::1]:8080)",
         "Where it serves; port 0 takes a free one."),
    TEXT("workers", settings, workers, "1", is_workers, "a number from 1 to 128, or auto",
         "Processes that serve; auto: one for each processor. What is counted or kept in memory "
         "(max_connections, max_running, max_streams, database.connections) is of each."),
    TEXT("pid_file", settings, pid_file, "", is_short, "a path",
         "The process to signal is written there when it serves."),
    { .name = "log", .kind = CONF_SECTION, .record = &log_record },
    SECTION("http", settings, http, http_record),
    SECTION("stream", settings, stream, stream_record),
    SECTION("websocket", settings, websocket, websocket_record),
    SECTION("turns", settings, turns, turn_record),
    SECTION("database", settings, database, settings_database_record),
    SECTION("access", settings, access, settings_access_record),
    { .name = "dialects", .kind = CONF_SECTION, .record = &settings_dialects_record },
    SECTION("routing", settings, routing, settings_routing_record),
    TIME("drain_seconds", settings, drain_seconds, "25s", 0, 3600,
         "How long running answers may go on after SIGTERM."),
    RECORDS("providers", settings, providers, settings_provider_record, "",
            "Those who answer. With neither providers nor models: an echo."),
    RECORDS("models", settings, models, settings_model_record, "", "What clients may ask for."),
    RECORDS("tools", settings, tools, settings_tool_record, "", "What models may ask us to do."),
    END
};
static const struct conf_record root = { .fields = rows, .size = sizeof(struct settings) };

/* ---- what only the whole can tell ---------------------------------------------------- */

/* Settings that name nobody still answer: a first run needs no file. */
static void add_echo(struct settings *s)
{
    struct provider_settings *p = arena_new(&s->arena, sizeof *p);
    struct target_settings   *t = arena_new(&s->arena, sizeof *t);
    struct model_settings    *m = arena_new(&s->arena, sizeof *m);

    *p = (struct provider_settings){ .name = STR("echo"),
                                     .kind = PROVIDER_ECHO,
                                     .tokens_per_second = 50 };
    *t = (struct target_settings){ .provider = p->name };
    *m = (struct model_settings){ .name = STR("echo"), .targets = { t, 1 } };
    s->providers = (struct conf_records){ p, 1 };
    s->models = (struct conf_records){ m, 1 };
}

struct settings *settings_load(const char *file, const char *const *overrides, struct buf *mistakes)
{
    struct settings *s = mem_new(sizeof *s);
    struct conf_load load = { .arena = &s->arena, .file = file, .mistakes = mistakes };

    conf_read(&load, &root, s, overrides);
    if (s->providers.n == 0 && s->models.n == 0)
        add_echo(s);
    settings_complete_access(&load, s);
    settings_check_dialects(&load, s);
    settings_complete_providers(&load, s);
    settings_check_models(&load, s);
    settings_check_tools(&load, s);
    settings_check_assistant(&load, s);
    settings_check_lookups(&load, &s->xcx.lookups);
    if (mistakes->n == 0)
        return s;
    settings_free(s);
    return NULL;
}

void settings_free(struct settings *s)
{
    struct arena arena;

    if (!s)
        return;
    arena = s->arena;
    mem_free(s);
    arena_release(&arena);
}

void settings_write_help(struct buf *out)
{
    conf_write_help(&root, out);
}

void settings_write_markdown(struct buf *out)
{
    conf_write_markdown(&root, out);
}
