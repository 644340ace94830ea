#include "api/xcx_answer.h"

#include "api/api.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/utf8.h"

#include <stdio.h>

enum { MESSAGE_MAX_BYTES = 4096 };

/* ---- text as ASCII ------------------------------------------------------------------- */

static uint32_t code_point(struct str character)
{
    uint32_t point = (unsigned char)character.p[0] & (0x7fu >> character.n);

    for (size_t i = 1; i < character.n; i++)
        point = point << 6 | ((unsigned char)character.p[i] & 0x3f);
    return point;
}

static void add_escaped(struct buf *out, uint32_t point)
{
    if (point < 0x10000)
        buf_addf(out, "\\u%04x", point);
    else
        buf_addf(out, "\\u%04x\\u%04x", 0xd7c0 + (point >> 10), 0xdc00 + (point & 0x3ff));
}

/* In JSON only strings have anything but ASCII in them, so that it can be done from outside. */
void xcx_add_ascii(struct buf *out, struct str json)
{
    while (json.n) {
        size_t n = 0;

        while (n < json.n && (unsigned char)json.p[n] < 0x80)
            n++;
        buf_add(out, (struct str){ json.p, n });
        json = str_from(json, n);
        n = utf8_length(json);
        if (n)
            add_escaped(out, code_point((struct str){ json.p, n }));
        else if (json.n)
            buf_lit(out, "?");
        json = str_from(json, n ? n : 1);
    }
}

void xcx_add_json(struct buf *out, struct str json)
{
    if (api_settings()->xcx.ascii)
        xcx_add_ascii(out, json);
    else
        buf_add(out, json);
}

void xcx_add_time(struct buf *out, int64_t micros)
{
    char text[CLOCK_ISO_SIZE];

    clock_iso(micros, text);
    buf_addf(out, "\"%s\"", text);
}

/* ---- answers ------------------------------------------------------------------------- */

void xcx_open(struct buf *out)
{
    if (api_settings()->xcx.wrap_responses)
        buf_lit(out, "{\"code\":0,\"data\":");
}

void xcx_close(struct buf *out)
{
    if (api_settings()->xcx.wrap_responses)
        buf_lit(out, "}");
}

void xcx_answer(struct http_exchange *x, struct str json)
{
    struct buf body = BUF(3 * json.n + 32);

    xcx_open(&body);
    xcx_add_json(&body, json);
    xcx_close(&body);
    api_answer_json(x, 200, buf_str(&body));
    buf_release(&body);
}

void xcx_write_refusal(struct buf *out, int status, const char *message)
{
    struct buf text = BUF(MESSAGE_MAX_BYTES);

    buf_addf(&text, "{\"code\":%d,\"message\":", status);
    json_add_str(&text, str_of(message));
    buf_lit(&text, "}");
    xcx_add_json(out, buf_str(&text));
    buf_release(&text);
}

void xcx_refuse_for(struct http_exchange *x, int status, const char *message, unsigned seconds)
{
    char field[40];
    int  n = snprintf(field, sizeof field, "retry-after: %u\r\n", seconds);

    http_refuse(x, status, message, (struct str){ field, (size_t)n });
}

void xcx_refuse(struct http_exchange *x, int status, const char *message)
{
    if (status == 429 || status == 503)
        xcx_refuse_for(x, status, message, 1);
    else
        http_refuse(x, status, message,
                    status == 401 ? STR("www-authenticate: Bearer\r\n") : STR(""));
}
