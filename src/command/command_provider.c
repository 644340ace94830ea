/* command_provider.c - asks a provider one small question, as a turn would, and says how it went. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "command/command_parts.h"
#include "provider/probe.h"

#include <stdlib.h>
#include <string.h>

enum { REPORT_MAX = 64 * 1024, HINT_MAX = 1024, USUAL_TIME_S = 60, SKEW_MAX_S = 60 };

/* What main() returns; 1 is everybody's for what could not be tried. */
enum { ANSWERS = 0, IS_AWAY = 2, REFUSES = 3, FAILS = 4 };

static const struct {
    const char *name;
    const char *base_url;                     /* what stands behind it in every request */
} kinds[] = {
    [PROVIDER_ECHO] = { "echo", "" },
    [PROVIDER_OPENAI] = { "openai", "/chat/completions; mostly it ends with /v1" },
    [PROVIDER_DASHSCOPE] = { "dashscope", "/api/v1/..." },
    [PROVIDER_SPARK] = { "spark", "/v3.5/chat and the like" },
    [PROVIDER_ANTHROPIC] = { "anthropic", "/v1/messages" },
    [PROVIDER_OLLAMA] = { "ollama", "/api/chat" },
};

struct trial {
    const struct provider *provider;
    struct str             model;
    struct probe           probe;
    struct buf             hint;
};

/* ---- what may be wrong ----------------------------------------------------------------- */

static bool says(const struct trial *t, const char *word)
{
    return t->probe.words.n && strcasestr(t->probe.words.p, word);
}

static bool is_denied(const struct trial *t)
{
    return t->probe.fault == FAULT_SERVICE_DENIED;
}

static bool came_to(const struct trial *t, enum journey_step step)
{
    return t->probe.journey.at[step] != 0;
}

static bool is_away(const struct trial *t)
{
    return t->probe.fault == FAULT_UNREACHABLE;
}

static bool clock_is_off(const struct trial *t)
{
    return is_denied(t) && llabs(t->probe.skew) > SKEW_MAX_S;
}

static bool has_no_name(const struct trial *t)
{
    return is_away(t) && !came_to(t, JOURNEY_NAMED);
}

static bool has_no_connection(const struct trial *t)
{
    return is_away(t) && !came_to(t, JOURNEY_CONNECTED);
}

static bool has_no_tunnel(const struct trial *t)
{
    return is_away(t) && t->provider->way.proxy_host.n && !came_to(t, JOURNEY_TUNNELLED);
}

static bool has_bad_certificate(const struct trial *t)
{
    return is_away(t) && says(t, "certificate");
}

static bool has_no_tls(const struct trial *t)
{
    return is_away(t) && t->provider->way.is_secure && !came_to(t, JOURNEY_SECURED);
}

static bool wants_tls(const struct trial *t)
{
    return !t->provider->way.is_secure && t->probe.journey.status == 400 && says(t, "https");
}

static bool has_no_key(const struct trial *t)
{
    return is_denied(t) && !t->provider->settings->api_key.n;
}

static bool has_no_money(const struct trial *t)
{
    return is_denied(t) && (t->probe.journey.status == 402 || says(t, "quota") ||
                            says(t, "balance") || says(t, "arrear") || says(t, "billing"));
}

static bool is_spark_denied(const struct trial *t)
{
    return is_denied(t) && t->provider->settings->kind == PROVIDER_SPARK;
}

static bool knows_no_model(const struct trial *t)
{
    int status = t->probe.journey.status;

    return (status == 400 || status == 404) && says(t, "model");
}

static bool is_elsewhere(const struct trial *t)
{
    int status = t->probe.journey.status;

    return t->probe.fault == FAULT_GARBAGE || status / 100 == 3 || status == 404 || status == 405 ||
           status == 426;
}

static bool is_busy(const struct trial *t)
{
    return t->probe.fault == FAULT_SERVICE_BUSY;
}

static bool is_silent(const struct trial *t)
{
    return t->probe.fault == FAULT_NO_FIRST_TOKEN || t->probe.fault == FAULT_WENT_QUIET ||
           t->probe.fault == FAULT_TIMEOUT;
}

static bool was_cut(const struct trial *t)
{
    return t->probe.fault == FAULT_CUT;
}

static bool is_not_accepted(const struct trial *t)
{
    return t->probe.fault == FAULT_NOT_ACCEPTED;
}

static bool has_failed(const struct trial *t)
{
    return t->probe.fault == FAULT_SERVICE_FAILED;
}

static void tell_clock(const struct trial *t, struct buf *out)
{
    buf_addf(out, "this machine's clock is %lld s %s theirs, which makes signatures void: set it",
             llabs(t->probe.skew), t->probe.skew < 0 ? "behind" : "ahead of");
}

static void tell_model(const struct trial *t, struct buf *out)
{
    buf_addf(out, "it does not seem to offer the model \"%.*s\"; --model tries another name",
             STR_ARG(t->model));
}

static void tell_base_url(const struct trial *t, struct buf *out)
{
    int kind = t->provider->settings->kind;

    buf_addf(out, "is this a service of kind %s? base_url is what stands before %s",
             kinds[kind].name, kinds[kind].base_url);
}

/* The first that fits. */
static const struct {
    bool (*fits)(const struct trial *t);
    const char *text;                         /* NULL: tell() does              */
    void (*tell)(const struct trial *t, struct buf *out);
} hints[] = {
    { has_no_name, "nobody knows that host: a slip in base_url (or proxy), or this machine's DNS",
      NULL },
    { has_no_connection,
      "nobody takes connections there: the port in base_url, a firewall, or this network wants a "
      "proxy",
      NULL },
    { has_no_tunnel, "the proxy does not let this through: its address, user and password", NULL },
    { has_bad_certificate,
      "name the certificate of a private authority with ca_file; the name in base_url must be "
      "the certificate's; a wrong clock here spoils every certificate",
      NULL },
    { has_no_tls, "does it speak TLS at all? If not, base_url begins with http:// (or ws://)",
      NULL },
    { wants_tls, "it speaks TLS: base_url begins with https://", NULL },
    { clock_is_off, NULL, tell_clock },
    { has_no_key, "there is no api_key: is the variable set that the file names?", NULL },
    { has_no_money, "that account has no money left, or no right to this model", NULL },
    { is_spark_denied, "app_id, api_key and api_secret belong together, and to this model", NULL },
    { is_denied, "api_key: is it whole, of this service, not expired, and good for this model?",
      NULL },
    { knows_no_model, NULL, tell_model },
    { is_elsewhere, NULL, tell_base_url },
    { is_busy, "the key works, and its limits are used up at the moment", NULL },
    { is_silent, "a model that is loaded first may need a longer first_timeout (and --timeout)",
      NULL },
    { was_cut, "something on the way may end connections early: a proxy, a load balancer", NULL },
    { is_not_accepted, "look at the provider's extra, api_version, app_id and workspace", NULL },
    { has_failed, "that is trouble of its own; try again in a while", NULL },
};

static void find_hint(struct trial *t)
{
    if (t->probe.fault == FAULT_NONE)
        return;
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (hints[i].fits(t)) {
            if (hints[i].text)
                buf_add(&t->hint, str_of(hints[i].text));
            else
                hints[i].tell(t, &t->hint);
            return;
        }
}

static int status_of(const struct trial *t)
{
    switch (t->probe.fault) {
    case FAULT_NONE:           return ANSWERS;
    case FAULT_UNREACHABLE:
    case FAULT_NO_FIRST_TOKEN:
    case FAULT_WENT_QUIET:
    case FAULT_TIMEOUT:
    case FAULT_CUT:            return IS_AWAY;
    case FAULT_SERVICE_DENIED:
    case FAULT_SERVICE_BUSY:
    case FAULT_NOT_ACCEPTED:
    case FAULT_NOT_OFFERED:
    case FAULT_FILTERED:       return REFUSES;
    default:                   return t->probe.journey.status / 100 == 4 ? REFUSES : FAILS;
    }
}

/* ---- the report ------------------------------------------------------------------------ */

static const struct {
    const char       *name;                   /* for people                     */
    const char       *member;
    enum journey_step step;
} steps[] = {
    { "name found", "named", JOURNEY_NAMED },
    { "connected", "connected", JOURNEY_CONNECTED },
    { "through proxy", "tunnelled", JOURNEY_TUNNELLED },
    { "TLS ready", "secured", JOURNEY_SECURED },
    { "head", "answered", JOURNEY_ANSWERED },
};
enum { N_STEPS = sizeof steps / sizeof *steps };

static double ms_at(const struct trial *t, uint64_t moment)
{
    return moment > t->probe.begun ? (double)(moment - t->probe.begun) / (double)CLOCK_MS : 0;
}

static void add_moment(struct buf *out, const char *name, double ms)
{
    buf_addf(out, "%-15s%.1f ms", name, ms);
}

static void add_moments(const struct trial *t, struct buf *out)
{
    const struct probe *p = &t->probe;

    for (size_t i = 0; i < N_STEPS; i++) {
        if (!came_to(t, steps[i].step))
            continue;
        add_moment(out, steps[i].name, ms_at(t, p->journey.at[steps[i].step]));
        if (steps[i].step == JOURNEY_ANSWERED)
            buf_addf(out, ", HTTP %d", p->journey.status);
        buf_lit(out, "\n");
    }
    if (p->first) {
        add_moment(out, "first word", ms_at(t, p->first));
        buf_lit(out, "\n");
    }
    add_moment(out, "over", ms_at(t, p->over));
    buf_lit(out, "\n");
}

static void add_shown_line(struct buf *out, const char *name, struct str text)
{
    if (!text.n)
        return;
    buf_addf(out, "%-15s", name);
    command_add_shown(out, text);
    buf_lit(out, "\n");
}

static void write_text(const struct trial *t, struct buf *out)
{
    const struct provider_settings *s = t->provider->settings;
    const struct probe             *p = &t->probe;

    buf_addf(out, "%-15s%.*s, kind %s\n", "provider", STR_ARG(s->name), kinds[s->kind].name);
    add_shown_line(out, "base_url", s->base_url);
    add_shown_line(out, "model", t->model);
    add_moments(t, out);
    if (p->usage.prompt || p->usage.completion)
        buf_addf(out, "%-15s%llu asked, %llu answered\n", "tokens",
                 (unsigned long long)p->usage.prompt, (unsigned long long)p->usage.completion);
    if (p->fault)
        add_shown_line(out, p->journey.status ? "it said" : "why", p->words);
    else
        add_shown_line(out, "it said", buf_str(&p->said));
    if (p->fault)
        buf_addf(out, "%-15s%s (%s)\n", "verdict", fault_text(p->fault), fault_name(p->fault));
    else
        buf_addf(out, "%-15s%s\n", "verdict", "it answers");
    add_shown_line(out, "hint", buf_str(&t->hint));
}

static void add_member(struct buf *out, const char *name, struct str text)
{
    buf_addf(out, ",\"%s\":", name);
    if (text.n)
        json_add_str(out, text);
    else
        buf_lit(out, "null");
}

static void add_ms(struct buf *out, const char *name, const struct trial *t, uint64_t moment)
{
    if (moment)
        buf_addf(out, "\"%s\":%.1f", name, ms_at(t, moment));
    else
        buf_addf(out, "\"%s\":null", name);
}

static void write_json(const struct trial *t, struct buf *out)
{
    const struct provider_settings *s = t->provider->settings;
    const struct probe             *p = &t->probe;

    buf_addf(out, "{\"kind\":\"%s\"", kinds[s->kind].name);
    add_member(out, "provider", s->name);
    add_member(out, "base_url", s->base_url);
    add_member(out, "model", t->model);
    buf_addf(out, ",\"answers\":%s", p->fault ? "false" : "true");
    add_member(out, "fault", p->fault ? str_of(fault_name(p->fault)) : STR(""));
    add_member(out, "verdict", p->fault ? str_of(fault_text(p->fault)) : STR("it answers"));
    add_member(out, "hint", buf_str(&t->hint));
    add_member(out, "said", p->fault ? p->words : buf_str(&p->said));
    buf_addf(out, p->journey.status ? ",\"status\":%d" : ",\"status\":null", p->journey.status);
    buf_addf(out, ",\"prompt_tokens\":%llu,\"completion_tokens\":%llu",
             (unsigned long long)p->usage.prompt, (unsigned long long)p->usage.completion);
    buf_addf(out, p->journey.has_date ? ",\"clock_ahead_s\":%lld" : ",\"clock_ahead_s\":null",
             (long long)p->skew);
    buf_lit(out, ",\"milliseconds\":{");
    for (size_t i = 0; i < N_STEPS; i++) {
        add_ms(out, steps[i].member, t, p->journey.at[steps[i].step]);
        buf_lit(out, ",");
    }
    add_ms(out, "first", t, p->first);
    buf_lit(out, ",");
    add_ms(out, "over", t, p->over);
    buf_lit(out, "}}\n");
}

static void report(const struct command_call *c, const struct trial *t)
{
    struct buf out = BUF(REPORT_MAX);

    if (c->as_json)
        write_json(t, &out);
    else
        write_text(t, &out);
    command_print(&out);
    buf_release(&out);
}

/* ---- the whole ------------------------------------------------------------------------- */

static void check_settings(const struct command_call *c)
{
    struct buf mistakes = BUF(REPORT_MAX);

    catalog_find_mistakes(c->settings, NULL, &mistakes);
    if (mistakes.n)
        die("the settings have mistakes: %.*s", STR_ARG(str_trim(buf_str(&mistakes))));
    buf_release(&mistakes);
}

static void choose_model(const struct command_call *c, const struct catalog *catalog,
                         struct trial *t)
{
    const struct provider_settings *s = t->provider->settings;

    t->model = probe_model(catalog, t->provider, str_of(command_value(c, "--model")));
    if (!t->model.n && s->kind != PROVIDER_ECHO && !s->app_id.n)
        die("no model of the settings is the provider's; say one with --model");
}

static void test(struct command_call *c)
{
    const char      *timeout = command_value(c, "--timeout");
    uint64_t         seconds = timeout ? command_seconds("--timeout", timeout) : USUAL_TIME_S;
    struct trial     t = { .hint = BUF(HINT_MAX) };
    struct catalog  *catalog;
    struct provider *provider;

    check_settings(c);
    catalog = catalog_new(c->settings);
    c->settings = NULL;                       /* the catalog's                  */
    provider = probe_find(catalog, str_of(c->argument));
    if (!provider)
        die("there is no provider \"%s\" in the settings", c->argument);
    t.provider = provider;
    choose_model(c, catalog, &t);
    probe_run(&t.probe, provider, t.model, seconds * CLOCK_S);
    find_hint(&t);
    report(c, &t);
    c->status = status_of(&t);
    probe_release(&t.probe);
    buf_release(&t.hint);
    probe_end(catalog);
}

static const struct command_option options[] = {
    { "--model", "MODEL", "a model of the settings, or one of the provider's own names" },
    { "--timeout", "TIME", "how long it may take altogether; otherwise 60s" },
    { NULL, NULL, NULL },
};

const struct command command_provider_test = {
    .words = "provider test",
    .takes = "NAME",
    .about = "asks a provider one small question, and says how it went",
    .more = "exit status: 0 it answers, 1 this could not be tried, 2 it cannot be reached or is\n"
            "silent, 3 it refuses (key, model, limits), 4 it fails. Times are from the start on.",
    .options = options,
    .run = test,
};
