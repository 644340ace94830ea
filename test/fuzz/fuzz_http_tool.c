/* fuzz_http_tool.c - what a model and a web service word, in a tool's hands.
 *
 * An input is three texts, each of which ends at a mark (script.h): a model's arguments, the
 * location of a redirect, and the body of an answer. Whatever they are, the request goes where
 * the template says, the redirect nowhere that is refused, and what is told is UTF-8. */
#include "base/host.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "script.h"
#include "tool/http_answer.h"
#include "tool/http_order.h"
#include "tool/http_redirect.h"
#include "wire/http_text.h"

#include <string.h>

#define ORIGIN "https://h.example:8443"

enum { URL_KEPT = 8 * 1024, TEXT_KEPT = 1 << 22 };

static bool has_dots(struct str path)
{
    struct str piece;

    while (str_next(&path, '/', &piece))
        if (str_eq(piece, STR(".")) || str_eq(piece, STR("..")))
            return true;
    return false;
}

static void try_order(struct str arguments, enum tool_method method)
{
    static const struct http_order like = { .url = STR_INIT(ORIGIN "/v1/{a}/x{b}y?c={c}&d=1"),
                                            .parameters = STR_INIT("{\"required\":[\"e\"]}") };
    struct http_order              o = like;
    struct buf                     url = BUF(URL_KEPT), body = BUF(TEXT_KEPT), why = BUF(TEXT_KEPT);
    struct http_url                u;
    struct str                     query;

    o.method = method;
    if (http_order_write(&o, arguments, &url, &body, &why)) {
        MUST(http_read_web_url(buf_str(&url), &u, &query));
        MUST(str_starts(buf_str(&url), STR(ORIGIN "/v1/")));
        MUST(str_starts(query, STR("c=")) && !has_dots(u.path));
        MUST(!why.n && (body.n > 0) == http_order_has_body(method));
        for (size_t i = 0; i < url.n; i++)
            MUST(url.p[i] > ' ' && url.p[i] < 0x7f);
    } else {
        MUST(why.n && utf8_is_valid(buf_str(&why)));
    }
    buf_release(&url);
    buf_release(&body);
    buf_release(&why);
}

static void try_redirect(struct str location)
{
    struct buf      to = BUF(URL_KEPT);
    const char     *why;
    struct http_url u;
    struct str      query, host;

    if (http_redirect(STR(ORIGIN "/a/b?c"), location, &to, &why)) {
        MUST(!why && http_read_web_url(buf_str(&to), &u, &query) && u.is_secure);
        MUST(host_of_authority(u.authority, &host) && str_eq(host, u.host));
        MUST(!memchr(to.p, '#', to.n) && !memchr(u.authority.p, '@', u.authority.n));
    } else {
        MUST(why && *why);
    }
    buf_release(&to);
}

static void try_answer(struct str body, int status)
{
    static const char *const types[] = { "", "text/plain", "text/plain; charset=gb2312",
                                         "image/x" };

    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct http_answer a = { .status = status, .content_type = str_of(types[i]), .body = body };
        struct buf         out = BUF(TEXT_KEPT);

        MUST(!http_answer_write(&a, &out) || http_answer_is_good(status));
        MUST(out.n && utf8_is_valid(buf_str(&out)) && !memchr(out.p, 0, out.n));
        buf_release(&out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str script = { (const char *)data, size }, piece;
    size_t     before = mem_live_bytes();
    char       mark;

    if (script_next(&script, &piece, &mark)) {
        try_order(piece, TOOL_GET);
        try_order(piece, TOOL_POST);
    }
    if (script_next(&script, &piece, &mark))
        try_redirect(piece);
    if (script_next(&script, &piece, &mark)) {
        try_answer(piece, 200);
        try_answer(piece, 500);
    }
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
