/* settings.c - the settings table, and what one row cannot check by itself. */
#include "base/settings.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>

#define AT(type, member) .offset = offsetof(struct type, member)
#define END { .name = NULL }

#define COUNT(n, type, member, dflt, low, high, text) \
    { .name = n, .kind = CONF_COUNT, AT(type, member), .fallback = dflt, .min = low, .max = high, .help = text }
#define BYTES(n, type, member, dflt, low, high, text) \
    { .name = n, .kind = CONF_BYTES, AT(type, member), .fallback = dflt, .min = low, .max = high, .help = text }
#define TIME(n, type, member, dflt, low, high, text)                                       \
    { .name = n, .kind = CONF_TIME, AT(type, member), .fallback = dflt, .min = (low) * CLOCK_MS, \
      .max = (high) * CLOCK_S, .help = text }
#define TEXT(n, type, member, dflt, good, wants, text)                                      \
    { .name = n, .kind = CONF_TEXT, AT(type, member), .fallback = dflt, .is_good = good,    \
      .expects = wants, .help = text }
#define TEXTS(n, type, member, good, wants, text)                                           \
    { .name = n, .kind = CONF_TEXTS, AT(type, member), .fallback = "", .is_good = good,     \
      .expects = wants, .help = text }
#define CHOICE(n, type, member, dflt, list, text) \
    { .name = n, .kind = CONF_CHOICE, AT(type, member), .fallback = dflt, .choices = list, .help = text }
#define SECTION(n, type, member, rows) \
    { .name = n, .kind = CONF_SECTION, AT(type, member), .record = &rows }
#define RECORDS(n, type, member, rows, dflt, text)                                          \
    { .name = n, .kind = CONF_RECORDS, AT(type, member), .fallback = dflt, .record = &rows, .help = text }

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* ---- what a text may be ------------------------------------------------------- */

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] == 0x7f || s.p[i] == '"' ||
            s.p[i] == '\\')
            return false;
    return s.n > 0 && s.n <= 200;
}

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

/* ---- the table -------------------------------------------------------------------- */

static const char *const levels[] = { "debug", "info", "warn", "error", NULL };
static const char *const formats[] = { "logfmt", "json", NULL };
static const char *const kinds[] = { "echo", "openai", NULL };
static const char *const classes[] = { "local_small", "local_large", "cloud_small", "cloud_large",
                                       NULL };

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
      .help = "Web origins whose pages may call this service." },
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

static const struct conf_field turn_rows[] = {
    COUNT("max_running", turn_settings, max_running, "10000", 1, 1000000,
          "Turns answered at once."),
    COUNT("max_waiting", turn_settings, max_waiting, "1000", 0, 1000000,
          "Turns that may wait for a place; beyond it: 503."),
    TIME("max_wait", turn_settings, max_wait, "1s", 0, 3600,
         "How long a turn waits for a place; then: 503."),
    TIME("max_time", turn_settings, max_time, "10m", 10, 86400, "The longest a turn may take."),
    BYTES("max_answer_bytes", turn_settings, max_answer_bytes, "16MiB", 1 * KIB, 32 * MIB,
          "The text of one answer; a longer one is ended with an error."),
    END
};
static const struct conf_record turn_record = { .fields = turn_rows };

static const struct conf_field provider_rows[] = {
    TEXT("name", provider_settings, name, NULL, is_name, "a name without spaces",
         "How models refer to it."),
    CHOICE("kind", provider_settings, kind, NULL, kinds, "The dialect it speaks."),
    TEXT("base_url", provider_settings, base_url, "", NULL, NULL,
         "Where it is: http://host:port/v1 (every kind but echo; https is not there yet)."),
    TEXT("api_key", provider_settings, api_key, "", NULL, NULL,
         "What it knows us by. Better ${NAME} than the key itself."),
    COUNT("max_connections", provider_settings, max_connections, "1000", 1, 1000000,
          "Connections to it at once; as many calls again may wait."),
    TIME("connect_timeout", provider_settings, connect_timeout, "5s", 10, 600,
         "From the look-up of its name to a connection."),
    TIME("first_timeout", provider_settings, first_timeout, "60s", 10, 3600,
         "From the question to the first event of the answer."),
    TIME("idle_timeout", provider_settings, idle_timeout, "60s", 10, 3600,
         "The longest silence within an answer."),
    TIME("keep_timeout", provider_settings, keep_timeout, "30s", 0, 3600,
         "How long an idle connection is kept for the next question."),
    COUNT("max_streams", provider_settings, max_streams, "0", 0, 1000000,
          "Answers at once from this provider; 0: no limit."),
    COUNT("tokens_per_second", provider_settings, tokens_per_second, "50", 0, 1000,
          "Pace of an echo; 0: as fast as it goes."),
    END
};
static const struct conf_record provider_record = {
    .fields = provider_rows,
    .size = sizeof(struct provider_settings),
    .line_offset = offsetof(struct provider_settings, line),
};

static const struct conf_field target_rows[] = {
    TEXT("provider", target_settings, provider, NULL, is_name, "a provider's name",
         "Who is asked."),
    TEXT("model", target_settings, model, "", NULL, NULL,
         "The model's name at that provider; empty: the same name."),
    END
};
static const struct conf_record target_record = {
    .fields = target_rows,
    .size = sizeof(struct target_settings),
    .line_offset = offsetof(struct target_settings, line),
};

static const struct conf_field model_rows[] = {
    TEXT("name", model_settings, name, NULL, is_name, "a name without spaces",
         "What clients ask for."),
    CHOICE("class", model_settings, class, "cloud_large", classes,
           "Where it runs and how big it is."),
    { .name = "targets",
      .kind = CONF_RECORDS,
      AT(model_settings, targets),
      .record = &target_record,
      .min = 1,
      .help = "Who answers, in order." },
    END
};
static const struct conf_record model_record = {
    .fields = model_rows,
    .size = sizeof(struct model_settings),
    .line_offset = offsetof(struct model_settings, line),
};

static const struct conf_field rows[] = {
    TEXT("listen", settings, listen, "127.0.0.1:8080", address_is_endpoint,
         "an address and port (127.0.0.1:8080, [::1]:8080)",
         "Where it serves; port 0 takes a free one."),
    { .name = "log", .kind = CONF_SECTION, .record = &log_record },
    SECTION("http", settings, http, http_record),
    SECTION("stream", settings, stream, stream_record),
    SECTION("turns", settings, turns, turn_record),
    TIME("drain_seconds", settings, drain_seconds, "25s", 0, 3600,
         "How long running answers may go on after SIGTERM."),
    RECORDS("providers", settings, providers, provider_record, "",
            "Those who answer. With neither providers nor models: an echo."),
    RECORDS("models", settings, models, model_record, "", "What clients may ask for."),
    END
};
static const struct conf_record root = { .fields = rows, .size = sizeof(struct settings) };

/* ---- what only the whole can tell ---------------------------------------------------- */

static void check_providers(const struct conf_load *load, const struct settings *s)
{
    const struct provider_settings *p = s->providers.items;
    char                            key[64];

    for (size_t i = 0; i < s->providers.n; i++)
        for (size_t j = 0; j < i; j++)
            if (p[i].name.n && str_eq(p[i].name, p[j].name)) {
                snprintf(key, sizeof key, "providers[%zu].name", i);
                conf_mistake(load, p[i].line, key, "\"%s\" is the name of providers[%zu] already",
                             p[i].name.p, j);
            }
}

static bool has_provider(const struct settings *s, struct str name)
{
    const struct provider_settings *p = s->providers.items;

    for (size_t i = 0; i < s->providers.n; i++)
        if (str_eq(p[i].name, name))
            return true;
    return false;
}

static void check_targets(const struct conf_load *load, const struct settings *s, size_t model)
{
    const struct model_settings  *m = (const struct model_settings *)s->models.items + model;
    const struct target_settings *t = m->targets.items;
    char                          key[80];

    for (size_t i = 0; i < m->targets.n; i++)
        if (t[i].provider.n && !has_provider(s, t[i].provider)) {
            snprintf(key, sizeof key, "models[%zu].targets[%zu].provider", model, i);
            conf_mistake(load, t[i].line, key, "there is no provider named \"%s\"",
                         t[i].provider.p);
        }
}

static void check_models(const struct conf_load *load, const struct settings *s)
{
    const struct model_settings *m = s->models.items;
    char                         key[64];

    for (size_t i = 0; i < s->models.n; i++) {
        for (size_t j = 0; j < i; j++)
            if (m[i].name.n && str_eq(m[i].name, m[j].name)) {
                snprintf(key, sizeof key, "models[%zu].name", i);
                conf_mistake(load, m[i].line, key, "\"%s\" is the name of models[%zu] already",
                             m[i].name.p, j);
            }
        check_targets(load, s, i);
    }
}

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
    check_providers(&load, s);
    check_models(&load, s);
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
