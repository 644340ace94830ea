/* settings_providers.c - the rows for those who answer and for what they answer as. */
#include "base/json.h"
#include "base/settings_rows.h"

#include <stdio.h>
#include <string.h>

/* ---- what a text may be ------------------------------------------------------- */

bool settings_is_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] == 0x7f || s.p[i] == '"' ||
            s.p[i] == '\\')
            return false;
    return s.n > 0 && s.n <= 200;
}

bool settings_is_visible(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
            return false;
    return true;
}

static bool is_url_of(struct str s, const char *const *schemes)
{
    for (; *schemes; schemes++) {
        struct str rest = str_from(s, str_of(*schemes).n);

        if (str_starts(s, str_of(*schemes)) && rest.n && rest.p[0] != '/')
            return settings_is_visible(rest) && !memchr(rest.p, '?', rest.n) &&
                   !memchr(rest.p, '#', rest.n);
    }
    return false;
}

static bool is_url(struct str s)
{
    static const char *const schemes[] = { "http://", "https://", "ws://", "wss://", NULL };

    return s.n == 0 || is_url_of(s, schemes);
}

bool settings_is_web_address(struct str s)
{
    static const char *const schemes[] = { "http://", "https://", NULL };

    return is_url_of(s, schemes);
}

static bool is_proxy(struct str s)
{
    static const char *const schemes[] = { "http://", NULL };

    return s.n == 0 || is_url_of(s, schemes);
}

bool settings_is_header(struct str s)
{
    struct str name = { NULL, 0 };

    if (!memchr(s.p, ':', s.n) || !str_next(&s, ':', &name) || name.n == 0 ||
        !settings_is_visible(name))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < ' ' || (unsigned char)s.p[i] >= 0x7f)
            return false;
    return true;
}

static bool is_json_object(struct str s)
{
    const char      *why;
    struct json_doc *doc = s.n ? json_read(s, &why) : NULL;
    bool             good = s.n == 0 || json_type(json_root(doc)) == JSON_OBJECT;

    json_free(doc);
    return good;
}

/* ---- the rows -------------------------------------------------------------------- */

static const char *const kinds[] = { "echo",      "openai", "dashscope", "spark",
                                     "anthropic", "ollama", NULL };
static const char *const classes[] = { "local_small", "local_large", "cloud_small", "cloud_large",
                                       NULL };

static const struct conf_field provider_rows[] = {
    TEXT("name", provider_settings, name, NULL, settings_is_name, "a name without spaces",
         "How models refer to it."),
    CHOICE("kind", provider_settings, kind, NULL, kinds, "The dialect it speaks."),
    TEXT("base_url", provider_settings, base_url, "", is_url,
         "an address without a query (https://host/v1, wss://host)",
         "Where it is; empty: where its makers serve it."),
    SECRET("api_key", provider_settings, api_key, "", settings_is_visible, "visible ASCII",
           "What it knows us by. Better ${NAME} than the key itself."),
    SECRETS("more_keys", provider_settings, more_keys, settings_is_visible, "visible ASCII",
            "Further keys; they take turns, and one that is refused or used up rests."),
    SECRET("api_secret", provider_settings, api_secret, "", settings_is_visible, "visible ASCII",
           "spark: what its signatures are made with."),
    TEXT("app_id", provider_settings, app_id, "", settings_is_visible, "visible ASCII",
         "spark: the application. dashscope: an application instead of a model."),
    TEXT("workspace", provider_settings, workspace, "", settings_is_visible, "visible ASCII",
         "dashscope: the workspace, unless it is the default one."),
    TEXT("api_version", provider_settings, api_version, "", settings_is_visible, "visible ASCII",
         "openai: set for Azure, whose base_url ends with the deployment."),
    SECRETS("headers", provider_settings, headers, settings_is_header,
            "header fields (X-Title: my app)", "Header fields that go with every request to it."),
    TEXT(
        "extra", provider_settings, extra, "", is_json_object, "a JSON object",
        "JSON members for every request, beside the client's; dashscope: parameters, spark: chat."),
    SECRET("proxy", provider_settings, proxy, "", is_proxy, "http://[user:password@]host:port",
           "An HTTP proxy that connects us to it (CONNECT)."),
    TEXT("ca_file", provider_settings, ca_file, "", NULL, NULL,
         "Certificates to trust instead of the system's, in a PEM file."),
    COUNT("max_connections", provider_settings, max_connections, "1000", 1, 1000000,
          "Connections to it at once; as many calls again may wait."),
    TIME("connect_timeout", provider_settings, connect_timeout, "5s", 10, 600,
         "From the look-up of its name to a connection."),
    TIME("tls_timeout", provider_settings, tls_timeout, "10s", 10, 600,
         "From there to the end of the handshakes: proxy, TLS, WebSocket."),
    TIME("first_timeout", provider_settings, first_timeout, "60s", 10, 3600,
         "From the question to the first event of the answer."),
    TIME("idle_timeout", provider_settings, idle_timeout, "60s", 10, 3600,
         "The longest silence within an answer."),
    TIME("keep_timeout", provider_settings, keep_timeout, "30s", 0, 3600,
         "How long an idle connection is kept for the next question."),
    COUNT("max_streams", provider_settings, max_streams, "0", 0, 1000000,
          "Answers at once from this provider; 0: no limit."),
    COUNT("max_waiting", provider_settings, max_waiting, "100", 0, 1000000,
          "Turns that may wait for one of these, as long as turns.max_wait."),
    COUNT("retries", provider_settings, retries, "2", 0, 10,
          "How often one turn asks it again, while nothing of an answer has come."),
    TIME(
        "retry_pause", provider_settings, retry_pause, "500ms", 1, 3600,
        "How long it waits before that, where the provider does not say; each time twice as long..."),
    TIME(
        "longest_retry_pause", provider_settings, longest_retry_pause, "8s", 1, 3600,
        "...but no longer than this. Each pause is up to a quarter shorter, so that turns that failed "
        "together do not come back together. What is longer than turns.max_pause is not waited for."),
    COUNT("breaker_failures", provider_settings, breaker_failures, "5", 0, 1000,
          "After so many failures in a row a model of it is left alone; 0: never."),
    TIME("breaker_time", provider_settings, breaker_time, "10s", 10, 3600,
         "For so long; then one turn tries. Doubles up to eight times with every failed try."),
    COUNT("tokens_per_second", provider_settings, tokens_per_second, "50", 0, 1000,
          "Pace of an echo; 0: as fast as it goes."),
    END
};
const struct conf_record settings_provider_record = {
    .fields = provider_rows,
    .size = sizeof(struct provider_settings),
    .line_offset = offsetof(struct provider_settings, line),
};

static const struct conf_field target_rows[] = {
    TEXT("provider", target_settings, provider, NULL, settings_is_name, "a provider's name",
         "Who is asked."),
    TEXT("model", target_settings, model, "", NULL, NULL,
         "The model's name at that provider; empty: the same name."),
    COUNT("weight", target_settings, weight, "0", 0, 1000,
          "Its share of the turns that ask it first; all 0: the first in order."),
    COUNT("max_streams", target_settings, max_streams, "0", 0, 1000000,
          "Answers at once from this target; 0: no limit but the provider's."),
    END
};
static const struct conf_record target_record = {
    .fields = target_rows,
    .size = sizeof(struct target_settings),
    .line_offset = offsetof(struct target_settings, line),
};

enum { PRICE_DIGITS_MAX = 9, PRICE_DECIMALS = 6 };

static bool is_price(struct str s)
{
    size_t whole = 0, part = 0;

    while (whole < s.n && s.p[whole] >= '0' && s.p[whole] <= '9')
        whole++;
    if (whole < s.n && s.p[whole] == '.')
        while (whole + 1 + part < s.n && s.p[whole + 1 + part] >= '0' &&
               s.p[whole + 1 + part] <= '9')
            part++;
    return whole > 0 && whole <= PRICE_DIGITS_MAX && part <= PRICE_DECIMALS &&
           s.n == whole + (part ? part + 1 : 0);
}

uint64_t settings_price(struct str decimal)
{
    uint64_t price = 0;
    size_t   decimals = PRICE_DECIMALS;
    bool     is_part = false;

    for (size_t i = 0; i < decimal.n; i++) {
        if (decimal.p[i] == '.') {
            is_part = true;
            continue;
        }
        price = price * 10 + (uint64_t)(decimal.p[i] - '0');
        decimals -= is_part;
    }
    while (decimals--)
        price *= 10;
    return price;
}

static const char *const no_yes[] = { "false", "true", NULL };

static const struct conf_field model_rows[] = {
    TEXT("name", model_settings, name, NULL, settings_is_name, "a name without spaces",
         "What clients ask for."),
    CHOICE("class", model_settings, class, "cloud_large", classes,
           "Where it runs and how big it is."),
    COUNT(
        "context_tokens", model_settings, context_tokens, "0", 0, 100000000,
        "How many tokens a question and its answer may take together. A conversation that is kept "
        "here and too long for that is shortened before it goes out: the model sums up what was "
        "said before the last messages. 0: it is not looked at."),
    CHOICE(
        "compact", model_settings, compact, "false", no_yes,
        "With context_tokens: also a conversation that the client brings is shortened, as OpenAI's "
        "clients do. Else it goes as it is, and who is too long hears that from the provider."),
    TEXT("prompt_price", model_settings, prompt_price, "0", is_price, "a price (0.15)",
         "What a million tokens of a question cost, in the currency of the limits."),
    TEXT("completion_price", model_settings, completion_price, "0", is_price, "a price (0.60)",
         "What a million tokens of an answer cost."),
    { .name = "targets",
      .kind = CONF_RECORDS,
      AT(model_settings, targets),
      .record = &target_record,
      .min = 1,
      .help = "Who answers; the next one when one fails." },
    TEXTS("tools", model_settings, tools, settings_is_name, "names of tools",
          "What it may use: of `tools`, and our own: now, calculator, search_conversations."),
    CHOICE("tenant_tools", model_settings, tenant_tools, "false", no_yes,
           "It may also use the tools that its asker's tenant has in the database (`runnel tool`). "
           "Of one name the settings' is meant."),
    END
};
const struct conf_record settings_model_record = {
    .fields = model_rows,
    .size = sizeof(struct model_settings),
    .line_offset = offsetof(struct model_settings, line),
};

/* ---- what only the whole can tell ---------------------------------------------------- */

/* What a kind cannot do without, in the order in which it is missed, and where it lives. */
static const struct {
    const char *base_url;
    bool        wants_app_id, wants_key, wants_secret;
} kinds_want[] = {
    [PROVIDER_ECHO] = { "", false, false, false },
    [PROVIDER_OPENAI] = { "https://api.openai.com/v1", false, false, false },
    [PROVIDER_DASHSCOPE] = { "https://dashscope.aliyuncs.com", false, true, false },
    [PROVIDER_SPARK] = { "wss://spark-api.xf-yun.com", true, true, true },
    [PROVIDER_ANTHROPIC] = { "https://api.anthropic.com", false, true, false },
    [PROVIDER_OLLAMA] = { "http://127.0.0.1:11434", false, false, false },
};

static void check_wants(const struct conf_load *load, const struct provider_settings *p, size_t at)
{
    char key[64];

    snprintf(key, sizeof key, "providers[%zu]", at);
    if (kinds_want[p->kind].wants_app_id && !p->app_id.n)
        conf_mistake(load, p->line, key, "app_id can't be empty");
    if (kinds_want[p->kind].wants_key && !p->api_key.n)
        conf_mistake(load, p->line, key, "api_key can't be empty");
    if (kinds_want[p->kind].wants_secret && !p->api_secret.n)
        conf_mistake(load, p->line, key, "api_secret can't be empty");
    if (p->more_keys.n && (p->kind == PROVIDER_SPARK || !p->api_key.n))
        conf_mistake(load, p->line, key, "more_keys go with an api_key, and not with spark");
}

static void check_name(const struct conf_load *load, const struct provider_settings *p, size_t at)
{
    char key[64];

    for (size_t j = 0; j < at; j++)
        if (p[at].name.n && str_eq(p[at].name, p[j].name)) {
            snprintf(key, sizeof key, "providers[%zu].name", at);
            conf_mistake(load, p[at].line, key, "\"%s\" is the name of providers[%zu] already",
                         p[at].name.p, j);
        }
}

void settings_complete_providers(const struct conf_load *load, struct settings *s)
{
    struct provider_settings *p = s->providers.items;

    for (size_t i = 0; i < s->providers.n; i++) {
        check_name(load, p, i);
        if (!p[i].name.n)
            continue;                         /* told already                   */
        check_wants(load, &p[i], i);
        if (!p[i].base_url.n)
            p[i].base_url = str_of(kinds_want[p[i].kind].base_url);
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

void settings_check_models(const struct conf_load *load, const struct settings *s)
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
