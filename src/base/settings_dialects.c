/* settings_dialects.c - the rows for the doors that clients come in by. */
#include "base/address.h"
#include "base/lookup_sql.h"
#include "base/settings_rows.h"

#include <stdio.h>

static const char *const no_yes[] = { "false", "true", NULL };
static const char *const leavings[] = { "cancel", "drain", "detach", NULL };

#define ON_LEAVE(type, dflt)                                                                \
    CHOICE("on_leave", type, on_leave, dflt, leavings,                                      \
           "When the last reader of an answer leaves: cancel stops the provider, drain lets it " \
           "finish within turns.drain_time and turns.drain_tokens, detach in full.")

static const struct conf_field  openai_rows[] = { ON_LEAVE(openai_settings, "cancel"), END };
static const struct conf_record openai_record = { .fields = openai_rows };

/* ---- the operator's queries ---------------------------------------------------------- */

enum { CONTEXT_MAX = 20 };

static bool judge_query(struct str sql, unsigned names, char why[CONF_WHY_MAX])
{
    struct lookup_sql q;
    bool              good = lookup_sql_read(&q, sql, names, why);

    lookup_sql_release(&q);
    return good;
}

static bool judge_query_of_one(struct str sql, char why[CONF_WHY_MAX])
{
    return judge_query(sql, LOOKUP_OF_ONE, why);
}

static bool judge_query_of_many(struct str sql, char why[CONF_WHY_MAX])
{
    return judge_query(sql, LOOKUP_OF_MANY, why);
}

static bool is_context(struct str s)
{
    return settings_is_name(s) && s.n <= CONTEXT_MAX;
}

static bool is_card_type(struct str s)
{
    return str_eq(s, STR("customer")) || str_eq(s, STR("record"));
}

#define QUERY(judges, text)                                                                 \
    { .name = "sql", .kind = CONF_TEXT, AT(query_settings, sql), .judge = judges, .expects = "a query",   \
      .help = text }

static const struct conf_field page_rows[] = {
    TEXT("page", query_settings, of, NULL, settings_is_name, "a page's name, or *",
         "The page that was open (task-detail); *: any that has no row of its own."),
    QUERY(judge_query_of_one,
          "What the model is told of it: one text, or columns with names. It may say "
          ":context_id, :user_id, :site_id, :tenant, :page and :filters (jsonb)."),
    END
};
static const struct conf_record page_record = {
    .fields = page_rows,
    .size = sizeof(struct query_settings),
    .line_offset = offsetof(struct query_settings, line),
};

static const struct conf_field card_rows[] = {
    TEXT("context", query_settings, of, NULL, is_context, "a context's type (customer)",
         "What the conversation is about."),
    TEXT("type", query_settings, type, NULL, is_card_type, "customer or record",
         "What the mini-program shows it as."),
    QUERY(judge_query_of_one,
          "Its first row: columns title and summary, and all others as data. Names as for pages."),
    END
};
static const struct conf_record card_record = {
    .fields = card_rows,
    .size = sizeof(struct query_settings),
    .line_offset = offsetof(struct query_settings, line),
};

static const struct conf_field name_rows[] = {
    TEXT("context", query_settings, of, NULL, is_context, "a context's type (customer)",
         "What the conversations are about."),
    QUERY(judge_query_of_many,
          "Columns id and name, of all :context_ids (text[]). It may say :user_id, :site_id "
          "and :tenant."),
    END
};
static const struct conf_record name_record = {
    .fields = name_rows,
    .size = sizeof(struct query_settings),
    .line_offset = offsetof(struct query_settings, line),
};

static void check_twins(const struct conf_load *load, const struct conf_records *all,
                        const char *list, const char *field)
{
    const struct query_settings *q = all->items;
    char                         key[64];

    for (size_t i = 0; i < all->n; i++)
        for (size_t j = 0; j < i; j++)
            if (q[i].of.n && str_eq(q[i].of, q[j].of)) {
                snprintf(key, sizeof key, "dialects.xcx.%s[%zu].%s", list, i, field);
                conf_mistake(load, q[i].line, key, "\"%s\" has %s[%zu] already", q[i].of.p, list,
                             j);
            }
}

void settings_check_lookups(const struct conf_load *load, const struct lookup_settings *s)
{
    check_twins(load, &s->pages, "pages", "page");
    check_twins(load, &s->cards, "cards", "context");
    check_twins(load, &s->names, "names", "context");
}

/* ---- the doors ------------------------------------------------------------------------- */

static const char *const newcomers[] = { "as_access", "pending", "approved", NULL };
static const char *const off_on[] = { "off", "on", NULL };
static const char *const failings[] = { "open", "closed", NULL };

static bool is_credential(struct str s)
{
    return settings_is_visible(s) && s.n <= 200;
}

static const struct conf_field wechat_rows[] = {
    TEXT("app_id", wechat_settings, app_id, "", is_credential, "up to 200 of visible ASCII",
         "The mini-program whose users may log in; empty: nobody may."),
    SECRET("app_secret", wechat_settings, app_secret, "", is_credential,
           "up to 200 of visible ASCII",
           "What WeChat knows us by. Better ${NAME} than the secret itself."),
    TEXT("base_url", wechat_settings, base_url, "https://api.weixin.qq.com",
         settings_is_web_address, "an address without a query (https://host)",
         "Where WeChat's server interface is."),
    TEXT("ca_file", wechat_settings, ca_file, "", NULL, NULL,
         "Certificates to trust instead of the system's, in a PEM file."),
    TIME("timeout", wechat_settings, timeout, "5s", 10, 60,
         "The longest a log-in or a check of content waits for WeChat."),
    TEXT("tenant", wechat_settings, tenant, "default", settings_is_name, "a name without spaces",
         "Whose accounts they are."),
    CHOICE("new_accounts", wechat_settings, new_accounts, "as_access", newcomers,
           "What an account is when its owner first logs in; as_access: as access.new_accounts."),
    TIME("token_lifetime", wechat_settings, token_lifetime, "2h", 1000, 2592000,
         "How long a token is good that a log-in gives..."),
    TIME("refresh_lifetime", wechat_settings, refresh_lifetime, "720h", 0, 31536000,
         "...and how long new ones are given for it without a log-in; 0: never."),
    END
};
static const struct conf_record wechat_record = { .fields = wechat_rows };

static const struct conf_field xcx_rows[] = {
    TEXT("model", xcx_settings, model, "", NULL, NULL,
         "The model that answers the mini-program; empty: the first one; auto: as routing says."),
    CHOICE("wrap_responses", xcx_settings, wrap_responses, "true", no_yes,
           "Whether good answers come as {\"code\": 0, \"data\": ...}."),
    CHOICE("ascii", xcx_settings, ascii, "false", no_yes,
           "Whether everything but ASCII is escaped, so that no client can cut a character."),
    ON_LEAVE(xcx_settings, "detach"),
    TIME("reuse_customer", xcx_settings, reuse_customer, "72h", 0, 31536000,
         "A conversation about a customer is gone on with until it was silent for this long."),
    TIME("reuse_coach", xcx_settings, reuse_coach, "72h", 0, 31536000, "The same, about a coach."),
    TIME("reuse_general", xcx_settings, reuse_general, "72h", 0, 31536000,
         "How long a conversation about nothing in particular is handed out again in which "
         "nothing was said."),
    RECORDS(
        "pages", xcx_settings, lookups.pages, page_record, "",
        "Queries for what the model is told of the page that was open. They, those for cards and "
        "those for names are read-only and have two connections of their own."),
    RECORDS("cards", xcx_settings, lookups.cards, card_record, "",
            "Queries for the cards that stand beside messages."),
    RECORDS("names", xcx_settings, lookups.names, name_record, "",
            "Queries for the names of customers in lists of conversations."),
    BYTES("page_bytes", xcx_settings, lookups.page_bytes, "4KiB", 64, 64 * KIB,
          "The most that the model is told of a page."),
    TIME("lookup_timeout", xcx_settings, lookups.timeout, "2s", 10, 60,
         "How long such a query may take; as long again it may wait for its turn."),
    CHOICE("dev_login", xcx_settings, dev_login, "false", no_yes,
           "Lets anybody on this machine log in as anybody: for trying things out."),
    CHOICE("content_check", xcx_settings, content_check, "off", off_on,
           "Whether WeChat is asked if what a user writes may be answered."),
    CHOICE("content_check_failing", xcx_settings, content_check_failing, "closed", failings,
           "When WeChat cannot tell: open answers all the same, closed refuses."),
    SECTION("wechat", xcx_settings, wechat, wechat_record),
    END
};
static const struct conf_record xcx_record = { .fields = xcx_rows };

static const char *const languages[] = { "en", "zh", NULL };
static const char *const forms[] = { "text", "json", NULL };

static const struct conf_field dbgpt_rows[] = {
    SECRETS("api_keys", dbgpt_settings, api_keys, is_credential, "up to 200 of visible ASCII",
            "The keys that open this door, and no others do; empty: whatever opens /v1."),
    CHOICE("language", dbgpt_settings, language, "en", languages,
           "The language of the words that a model is told before a conversation."),
    CHOICE("stream_default", dbgpt_settings, stream_default, "true", no_yes,
           "Whether an answer is a stream when the client does not say."),
    CHOICE("incremental_form", dbgpt_settings, incremental_form, "text", forms,
           "What the events of a stream are that is not incremental: the text so far, or an object "
           "with it."),
    CHOICE("extra_members", dbgpt_settings, extra_members, "false", no_yes,
           "Whether events say object, created, finish_reason and reasoning_content, which strict "
           "readers of OpenAI's streams want."),
    ON_LEAVE(dbgpt_settings, "detach"),
    END
};
static const struct conf_record dbgpt_record = { .fields = dbgpt_rows };

static const struct conf_field session_rows[] = {
    TEXT("model", session_settings, model, "", NULL, NULL,
         "The model that answers below /api/chat; empty: the first one; auto: as routing says."),
    TEXT("title_model", session_settings, title_model, "", NULL, NULL,
         "The model that finds a title for a new session, from its first question; empty: none."),
    TEXT("prompt", session_settings, prompt, "", NULL, NULL,
         "What the model is told before every conversation."),
    ON_LEAVE(session_settings, "detach"),
    COUNT("remembers", session_settings, remembers, "50", 1, 1000,
          "How many messages of a session the model is told, the question among them."),
    COUNT("max_message", session_settings, max_message, "64000", 1, 10000000,
          "The characters of one message; beyond it: 422."),
    TIME("heartbeat", session_settings, heartbeat, "10s", 10, 3600,
         "A silent stream gets a comment this often."),
    TIME("stream_ttl", session_settings, stream_ttl, "1h", 1000, 86400,
         "What /config/ttl tells clients: how long they should expect to be able to come back."),
    COUNT(
        "max_running", session_settings, max_running, "5", 0, 1000000,
        "Answers that are made below /api/chat at once for one person, or one key that is nobody's, "
        "in all processes; 0: any number. A question in a session beyond it waits, one to /api/chat is "
        "refused with 429."),
    COUNT("max_in_flight", session_settings, max_in_flight, "15", 0, 1000000,
          "The same with the questions that wait; beyond it: 429. 0: any number."),
    SECRETS("service_keys", session_settings, service_keys, is_credential,
            "up to 200 of visible ASCII",
            "The keys that services show (x-api-key) who complete an operation; none: nobody may."),
    END
};
static const struct conf_record session_record = { .fields = session_rows };

static const struct conf_field dialect_rows[] = {
    SECTION("openai", settings, openai, openai_record),
    SECTION("xcx", settings, xcx, xcx_record),
    SECTION("dbgpt", settings, dbgpt, dbgpt_record),
    SECTION("assistant", settings, assistant, settings_assistant_record),
    SECTION("session", settings, session, session_record),
    END
};
const struct conf_record settings_dialects_record = { .fields = dialect_rows };

/* ---- what only the whole can tell ---------------------------------------------------- */

static bool is_this_machine(struct str endpoint)
{
    union address a;

    return address_read_endpoint(endpoint, &a) &&
           (address_in_block(&a, STR("127.0.0.0/8")) || address_in_block(&a, STR("::1")));
}

/* Who logs in gets an account and a token of ours. */
static void check_log_in(const struct conf_load *load, const struct settings *s, const char *key)
{
    if (s->access.jwt_algorithm != ACCESS_HS256)
        conf_mistake(load, 0, key,
                     "log-in signs tokens, which it can with access.jwt_algorithm HS256 only");
    else if (s->access.jwt_key.n == 0)
        conf_mistake(load, 0, key, "log-in signs tokens with access.jwt_key, which is empty");
    if (s->database.url.n == 0)
        conf_mistake(load, 0, key,
                     "log-in keeps accounts in a database, and database.url is empty");
}

void settings_check_dialects(const struct conf_load *load, const struct settings *s)
{
    const struct wechat_settings *w = &s->xcx.wechat;

    if (!str_eq(s->session.model, STR("auto")))
        settings_check_model(load, s, s->session.model, "dialects.session.model");
    settings_check_model(load, s, s->session.title_model, "dialects.session.title_model");
    if (w->app_id.n)
        check_log_in(load, s, "dialects.xcx.wechat.app_id");
    if (w->app_id.n && !w->app_secret.n)
        conf_mistake(load, 0, "dialects.xcx.wechat.app_secret", "it can't be empty with an app_id");
    if (s->xcx.content_check && !w->app_id.n)
        conf_mistake(load, 0, "dialects.xcx.content_check",
                     "it asks WeChat, for which dialects.xcx.wechat needs an app_id");
    if (s->xcx.dev_login)
        check_log_in(load, s, "dialects.xcx.dev_login");
    if (s->xcx.dev_login && !is_this_machine(s->listen))
        conf_mistake(load, 0, "dialects.xcx.dev_login",
                     "anybody could log in as anybody: listen must be a loopback address for it");
}
