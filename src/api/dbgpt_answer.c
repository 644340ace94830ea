#include "api/dbgpt_answer.h"

#include "api/api.h"
#include "base/json.h"
#include "wire/sse.h"

#include <stdio.h>
#include <string.h>

enum { BODY_MAX = 64 << 10 };

static const char type[] = "invalid_request_error";

/* ---- as Python shows it ---------------------------------------------------------------- */

/* In single quotes, unless only double ones can stand around it. */
static void add_repr(struct buf *out, struct str s)
{
    bool has_single = s.n && memchr(s.p, '\'', s.n), has_double = s.n && memchr(s.p, '"', s.n);
    char quote = has_single && !has_double ? '"' : '\'';

    buf_add_char(out, quote);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];

        if (c == '\n')
            buf_lit(out, "\\n");
        else if (c == '\r')
            buf_lit(out, "\\r");
        else if (c == '\t')
            buf_lit(out, "\\t");
        else if (c < ' ' || c == 0x7f)
            buf_addf(out, "\\x%02x", c);
        else if (c == '\\' || s.p[i] == quote)
            buf_addf(out, "\\%c", c);
        else
            buf_add_char(out, s.p[i]);
    }
    buf_add_char(out, quote);
}

static void add_repr_of_error(struct buf *out, const char *message, const char *code)
{
    buf_lit(out, "{'error': {'message': ");
    add_repr(out, str_of(message));
    buf_addf(out, ", 'type': '%s', 'param': None, 'code': '%s'}}", type, code);
}

/* ---- bodies ------------------------------------------------------------------------------ */

static void add_error(struct buf *out, struct str message, const char *code)
{
    buf_lit(out, "{\"message\":");
    json_add_str(out, message);
    buf_addf(out, ",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}", type, code);
}

static void write_body(struct buf *out, const char *err_code, struct str err_msg,
                       struct str message, const char *code)
{
    buf_addf(out, "{\"success\":false,\"err_code\":\"%s\",\"err_msg\":", err_code);
    json_add_str(out, err_msg);
    buf_lit(out, ",\"data\":null,\"detail\":{\"error\":");
    add_error(out, message, code);
    buf_lit(out, "},\"error\":");
    add_error(out, message, code);
    buf_lit(out, "}");
}

void dbgpt_write_raised(struct buf *out, int status, const char *message, const char *code)
{
    struct buf text = BUF(BODY_MAX);
    char       err_code[12];

    snprintf(err_code, sizeof err_code, "%d", status);
    add_repr_of_error(&text, message, code);
    write_body(out, err_code, buf_str(&text), str_of(message), code);
    buf_release(&text);
}

void dbgpt_write_failed(struct buf *out, const char *err_code, struct str text, const char *code)
{
    write_body(out, err_code, text, text, code);
}

static const char *code_of(int status)
{
    return status == 429   ? "rate_limited"
           : status >= 500 ? "service_unavailable"
                           : "invalid_request_error";
}

/* Who shows no key that is known learns no more than that. */
void dbgpt_write_refusal(struct buf *out, int status, const char *why)
{
    if (status == 401)
        dbgpt_write_raised(out, status, "", "invalid_api_key");
    else if (status == 404)
        buf_lit(out, "{\"detail\":\"Not Found\"}");
    else if (status == 405)
        buf_lit(out, "{\"detail\":\"Method Not Allowed\"}");
    else
        dbgpt_write_raised(out, status, why, code_of(status));
}

/* ---- answers ----------------------------------------------------------------------------- */

static void answer(struct http_exchange *x, int status, const struct buf *body)
{
    struct str fields = status == 503 ? STR("x-should-retry: true\r\nretry-after: 1\r\n")
                                      : STR("x-should-retry: false\r\n");

    http_answer(x, &(struct http_answer){ status, STR("application/json"), fields, buf_str(body) });
}

void dbgpt_raise(struct http_exchange *x, int status, const char *message, const char *code)
{
    struct buf body = BUF(BODY_MAX);

    dbgpt_write_raised(&body, status, message, code);
    answer(x, status, &body);
    buf_release(&body);
}

void dbgpt_fail(struct http_exchange *x, const char *err_code, struct str text, const char *code)
{
    struct buf body = BUF(BODY_MAX + 6 * text.n * 3);

    dbgpt_write_failed(&body, err_code, text, code);
    answer(x, 400, &body);
    buf_release(&body);
}

void dbgpt_say(struct http_exchange *x, struct str text)
{
    struct buf body = BUF(BODY_MAX);

    sse_add_data(&body, text);
    http_answer(x, &(struct http_answer){ 200, STR("text/event-stream"), STR(""), buf_str(&body) });
    buf_release(&body);
}

void dbgpt_answer(struct http_exchange *x, struct str data)
{
    struct buf body = BUF(data.n + 100);

    buf_lit(&body, "{\"success\":true,\"err_code\":null,\"err_msg\":null,\"data\":");
    buf_add(&body, data);
    buf_lit(&body, "}");
    api_answer_json(x, 200, buf_str(&body));
    buf_release(&body);
}
