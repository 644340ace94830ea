#include "net/ws_handshake.h"

#include "wire/base64.h"

#include <mbedtls/sha1.h>

#include <string.h>

enum { KEY_BYTES = 16, ACCEPT_BYTES = 20, TEXT_MAX = 128 };

void ws_accept_of(struct str key, char out[WS_ACCEPT_SIZE])
{
    unsigned char digest[ACCEPT_BYTES];
    struct buf    text = BUF(TEXT_MAX), accept = BUF(WS_ACCEPT_SIZE - 1);

    buf_add(&text, key);
    buf_lit(&text, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    mbedtls_sha1((const unsigned char *)text.p, text.n, digest);
    base64_encode((struct str){ (const char *)digest, sizeof digest }, &accept);
    memcpy(out, accept.p, accept.n);
    out[accept.n] = '\0';
    buf_release(&text);
    buf_release(&accept);
}

/* ---- what a client must send ------------------------------------------------------------ */

static bool lists(const struct http_reader *rq, struct str field, struct str word)
{
    for (size_t i = 0; i < http_reader_count(rq, field); i++)
        if (http_list_has(http_reader_nth(rq, field, i), word))
            return true;
    return false;
}

static bool wants_socket(const struct http_reader *rq)
{
    return rq->method == HTTP_METHOD_GET && !http_reader_is_1_0(rq) &&
           lists(rq, STR("upgrade"), STR("websocket")) &&
           lists(rq, STR("connection"), STR("upgrade"));
}

static bool has_only(const struct http_reader *rq, struct str field, struct str value)
{
    return http_reader_count(rq, field) == 1 && str_eq(http_reader_header(rq, field), value);
}

static bool has_key(const struct http_reader *rq)
{
    struct str name = STR("sec-websocket-key");
    struct buf bytes = BUF(TEXT_MAX);
    bool       is_good = http_reader_count(rq, name) == 1 &&
                   base64_decode(http_reader_header(rq, name), &bytes) && bytes.n == KEY_BYTES;

    buf_release(&bytes);
    return is_good;
}

static bool is_same_host(struct str origin, struct str host)
{
    const char *slashes = origin.n ? memmem(origin.p, origin.n, "://", 3) : NULL;

    return slashes && str_eq_nocase(str_from(origin, (size_t)(slashes - origin.p) + 3), host);
}

/* A page's browser says whose page it is, and nobody else has to. */
static bool may_come_from(const struct http_reader *rq, const struct conf_texts *origins)
{
    struct str origin = http_reader_header(rq, STR("origin"));

    if (http_reader_count(rq, STR("origin")) == 0)
        return true;
    if (http_reader_count(rq, STR("origin")) > 1)
        return false;
    for (size_t i = 0; i < origins->n; i++)
        if (str_eq(origins->items[i], STR("*")) || str_eq(origins->items[i], origin))
            return true;
    return is_same_host(origin, http_reader_header(rq, STR("host")));
}

struct ws_objection ws_object(const struct http_reader *rq, const struct conf_texts *origins)
{
    if (!wants_socket(rq))
        return (struct ws_objection){ 426, "this path is a WebSocket's: ask for an upgrade to it",
                                      "upgrade: websocket\r\n" };
    if (!has_only(rq, STR("sec-websocket-version"), STR("13")))
        return (struct ws_objection){ 426, "version 13 of WebSocket is the one that is spoken here",
                                      "upgrade: websocket\r\nsec-websocket-version: 13\r\n" };
    if (!has_key(rq))
        return (struct ws_objection){ 400,
                                      "Sec-WebSocket-Key must be there once, 16 bytes as base64",
                                      "" };
    if (http_reader_expects_body(rq))
        return (struct ws_objection){ 400, "a request for a WebSocket has no body", "" };
    if (!may_come_from(rq, origins))
        return (struct ws_objection){ 403, "pages of this origin may not open a WebSocket here",
                                      "" };
    return (struct ws_objection){ 0, NULL, NULL };
}

bool ws_offers(const struct http_reader *rq, struct str protocol)
{
    return lists(rq, STR("sec-websocket-protocol"), protocol);
}
