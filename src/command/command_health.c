/* command_health.c - asks a running service how it is, for those who look after it. */
#include "base/address.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "command/command_parts.h"
#include "net/http_now.h"
#include "wire/http_text.h"

#include <string.h>

enum { URL_MAX = 2048, LINE_MAX_BYTES = 64 * 1024 };

struct place {
    union address at;
    struct str    path;
    struct buf    url;                        /* for people                     */
};

/* One that listens on all addresses is asked at its own. */
static void find_own_address(const struct settings *s, union address *at)
{
    if (!address_read_endpoint(s->listen, at))
        die("listen is no address and port; say which URL to ask");
    if (at->any.sa_family == AF_INET && at->v4.sin_addr.s_addr == INADDR_ANY)
        at->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (at->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&at->v6.sin6_addr))
        at->v6.sin6_addr = in6addr_loopback;
}

/* Names are not looked up: who asks for health asks a process beside it. */
static bool read_url(struct str text, struct place *p)
{
    struct http_url url;

    if (!http_read_url(text, &url) || url.is_secure)
        return false;
    p->path = url.path.n ? url.path : STR("/");
    if (!address_read_host(str_eq(url.host, STR("localhost")) ? STR("127.0.0.1") : url.host,
                           &p->at))
        return false;
    if (p->at.any.sa_family == AF_INET)
        p->at.v4.sin_port = htons(url.port);
    else
        p->at.v6.sin6_port = htons(url.port);
    return true;
}

static void find_place(const struct command_call *c, struct place *p)
{
    struct str which = str_of(c->argument ? c->argument : "/readyz");
    char       text[ADDRESS_TEXT_SIZE];

    if (str_starts(which, STR("/")) && http_is_plain_value(which) &&
        str_find(which, ' ') == which.n) {
        find_own_address(c->settings, &p->at);
        p->path = which;
    } else if (!read_url(which, p)) {
        die("expects an address such as http://127.0.0.1:8080/readyz, or a path, not \"%.*s\"",
            STR_ARG(which));
    }
    address_write_endpoint(&p->at, text);
    buf_addf(&p->url, "http://%s%.*s", text, STR_ARG(p->path));
}

/* A loop that turns is all that /livez asks for: who is full says so, and is alive. */
static bool is_well(struct str path, const struct http_now *a)
{
    return a->status == 200 || str_eq(path, STR("/livez"));
}

static void add_plain(struct buf *out, struct str body)
{
    for (size_t i = 0; i < body.n; i++)
        if ((unsigned char)body.p[i] >= ' ' && body.p[i] != 0x7f)
            buf_add_char(out, body.p[i]);
}

static void tell(const struct command_call *c, struct str url, const struct http_now *a)
{
    struct buf out = BUF(LINE_MAX_BYTES);

    if (c->as_json) {
        buf_addf(&out, "{\"healthy\":%s,\"url\":", c->status == 0 ? "true" : "false");
        json_add_str(&out, url);
        buf_addf(&out, ",\"status\":%d,\"why\":", a->status);
        json_add_str(&out, str_of(a->why));
        buf_lit(&out, "}\n");
    } else {
        buf_addf(&out, "%shealthy: %.*s says ", c->status == 0 ? "" : "not ", STR_ARG(url));
        if (a->status)
            buf_addf(&out, "%d ", a->status);
        else
            buf_addf(&out, "nothing: %s", a->why);
        add_plain(&out, buf_str(&a->body));
        buf_lit(&out, "\n");
    }
    command_print(&out);
    buf_release(&out);
}

static void run(struct command_call *c)
{
    const char     *timeout = command_value(c, "--timeout");
    uint64_t        seconds = timeout ? command_seconds("--timeout", timeout) : 2;
    struct place    place = { .url = BUF(URL_MAX) };
    struct http_now a;
    bool            answers;

    find_place(c, &place);
    if (place.url.over)
        die("the address is too long");
    answers = http_now_get(&a, &place.at, place.path, seconds * CLOCK_S);
    c->status = answers && is_well(place.path, &a) ? 0 : 1;
    tell(c, buf_str(&place.url), &a);
    http_now_release(&a);
    buf_release(&place.url);
}

static const struct command_option options[] = {
    { "--timeout", "TIME", "how long it may take; otherwise 2s" },
    { NULL, NULL, NULL },
};

const struct command command_health = {
    .words = "health",
    .takes = "[URL]",
    .about = "asks a running service how it is; exit 1: not well",
    .more = "It is well when it says 200. At /livez any answer will do: one that has too many\n"
            "connections says so, and is alive.",
    .options = options,
    .run = run,
};
