/* dbgpt_v1.c - POST /api/v1/chat/completions, where two servers of DB-GPT have a door: its pages
 * bring user_input, its model server takes OpenAI's messages and has numbers for its errors. */
#include "api/api.h"
#include "api/dbgpt_answer.h"
#include "api/dbgpt_chat.h"
#include "api/guard.h"
#include "api/openai_v1.h"
#include "turn/offer.h"

#include <stdio.h>

enum { NOT_VALID = 40001, NO_SUCH_MODEL = 40301, OUT_OF_RANGE = 40302, BODY_MAX = 1 << 20 };

static void refuse(struct http_exchange *x, int code, struct str message)
{
    struct buf body = BUF(BODY_MAX);

    buf_lit(&body, "{\"object\":\"error\",\"message\":");
    json_add_str(&body, message);
    buf_addf(&body, ",\"code\":%d}", code);
    http_answer(x, &(struct http_answer){ 400, STR("application/json"),
                                          STR("x-should-retry: false\r\n"), buf_str(&body) });
    buf_release(&body);
}

/* ---- what is checked before all else ----------------------------------------------------- */

static bool has_model(struct http_exchange *x, const struct json *body)
{
    struct str name = json_str(json_get(body, "model"));
    struct buf why = BUF(BODY_MAX);
    bool       has = !name.n || (guard_may_use(x, name) && offer_find(name));

    if (has)
        return true;
    buf_lit(&why, "Only ");
    for (size_t i = 0; i < offer_count(); i++) {
        if (!guard_may_use(x, offer_name(offer_at(i))))
            continue;
        buf_add(&why, why.n > 5 ? STR("&&") : STR(""));
        buf_add(&why, offer_name(offer_at(i)));
    }
    buf_lit(&why, " allowed now, your model ");
    buf_add(&why, name);
    refuse(x, NO_SUCH_MODEL, buf_str(&why));
    buf_release(&why);
    return false;
}

static const struct range {
    const char *name;
    double      least, most;                  /* most 0: none                   */
} ranges[] = {
    { "max_tokens", 1, 0 },
    { "n", 1, 0 },
    { "temperature", 0, 2 },
    { "top_p", 0, 1 },
};

static bool is_in_range(struct http_exchange *x, const struct json *body, const struct range *r)
{
    const struct json *v = json_get(body, r->name);
    bool               is_below;
    struct buf         why = BUF(1024);
    double             d;

    if (!json_number(v, &d) || (d >= r->least && (r->most == 0 || d <= r->most)))
        return true;
    is_below = d < r->least;
    json_add_value(&why, v);
    buf_addf(&why, " is %s of %g - '%s'",
             is_below ? "less than the minimum" : "greater than the maximum",
             is_below ? r->least : r->most, r->name);
    refuse(x, OUT_OF_RANGE, buf_str(&why));
    buf_release(&why);
    return false;
}

static bool has_good_top_k(struct http_exchange *x, const struct json *body)
{
    double d;
    char   why[100];

    if (!json_number(json_get(body, "top_k"), &d) || d == -1 || d >= 1)
        return true;
    snprintf(why, sizeof why, "%g is out of Range. Either set top_k to -1 or >=1.", d);
    refuse(x, OUT_OF_RANGE, str_of(why));
    return false;
}

static bool has_good_stop(struct http_exchange *x, const struct json *body)
{
    const struct json *stop = json_get(body, "stop");
    struct buf         why = BUF(BODY_MAX / 8);

    if (!stop || json_type(stop) == JSON_STRING || json_type(stop) == JSON_ARRAY)
        return true;
    json_add_value(&why, stop);
    buf_lit(&why, " is not valid under any of the given schemas - 'stop'");
    refuse(x, OUT_OF_RANGE, buf_str(&why));
    buf_release(&why);
    return false;
}

static bool is_good(struct http_exchange *x, const struct json *body)
{
    if (!has_model(x, body))
        return false;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (!is_in_range(x, body, &ranges[i]))
            return false;
    return has_good_top_k(x, body) && has_good_stop(x, body);
}

/* ---- the two of them ------------------------------------------------------------------------- */

static void ask_model(struct http_exchange *x, const struct http_reader *rq,
                      const struct json *body)
{
    struct openai_problem problem = { .param = "" };
    struct openai_wish    wish;
    struct question      *q;

    if (!is_good(x, body))
        return;
    q = openai_read_question(body, &wish, &problem);
    if (q)
        openai_ask(x, rq, q, &wish);
    else
        refuse(x, NOT_VALID, str_of(problem.message));
}

static void ask_of_page(struct http_exchange *x, const struct http_reader *rq,
                        const struct json *body)
{
    struct dbgpt_wish wish = { .incremental = false };
    struct buf        mistakes = BUF(BODY_MAX);
    struct question  *q =
        dbgpt_read_page(body, dbgpt_system(api_settings()->dbgpt.language), &wish, &mistakes);

    if (q)
        dbgpt_ask(x, rq, q, &wish);
    else
        dbgpt_fail(x, "E0001", buf_str(&mistakes), "invalid_request_error");
    buf_release(&mistakes);
}

void dbgpt_serve_chat_v1(struct http_exchange *x, const struct http_reader *rq)
{
    const char        *why = "";
    struct json_doc   *doc = json_read(http_reader_body(rq), &why);
    const struct json *body = json_root(doc);

    if (!doc)
        refuse(x, NOT_VALID, str_of(why));
    else if (!json_get(body, "messages") && json_get(body, "user_input"))
        ask_of_page(x, rq, body);
    else
        ask_model(x, rq, body);
    json_free(doc);
}
