#include "api/assistant_socket.h"

#include "api/api.h"
#include "api/assistant_answer.h"
#include "api/assistant_frames.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "net/ws_handshake.h"

enum { TYPE_MAX = 100, TEXT_LIMIT = 1024 };

/* Pages that show their key as a subprotocol offer this one beside it: a key is no answer. */
static const char protocol[] = "assistant";

bool assistant_socket_may_open(struct http_exchange *x, const struct http_reader *rq)
{
    struct ws_objection o = ws_object(rq, &api_settings()->http.cors_origins);

    if (o.status)
        http_refuse(x, o.status, o.why, str_of(o.fields));
    else if (!api_is_ready())
        assistant_refuse(x, 503, assistant_not_ready);
    return !o.status && api_is_ready();
}

struct ws_conn *assistant_socket_open(struct http_exchange *x, const struct http_reader *rq,
                                      const struct ws_app *app, void *user)
{
    struct str chosen = ws_offers(rq, str_of(protocol)) ? str_of(protocol) : STR("");

    return ws_open(x, rq, chosen, &api_settings()->websocket, app, user);
}

struct buf *assistant_socket_begin(struct ws_conn *ws, const char *type)
{
    struct buf *out = ws_begin(ws);

    assistant_frame_open(out, type);
    return out;
}

void assistant_socket_end(struct ws_conn *ws)
{
    assistant_frame_close(http_body(ws_exchange(ws)));
    ws_end(ws);
    ws_push(ws);
}

void assistant_socket_error(struct ws_conn *ws, struct str message, const char *code)
{
    assistant_frame_error(ws_begin(ws), message, code);
    ws_end(ws);
    ws_push(ws);
}

void assistant_socket_pong(struct ws_conn *ws)
{
    struct buf *out = assistant_socket_begin(ws, "pong");

    buf_lit(out, "\"timestamp\":");
    assistant_add_time(out, clock_wall_ms() * 1000);
    assistant_socket_end(ws);
}

void assistant_socket_unknown(struct ws_conn *ws, struct str type)
{
    struct buf why = BUF(TEXT_LIMIT);

    buf_lit(&why, "未知消息类型: ");
    buf_add(&why, utf8_clip(type, TYPE_MAX));
    assistant_socket_error(ws, buf_str(&why), "UNKNOWN_TYPE");
    buf_release(&why);
}

struct json_doc *assistant_socket_read(struct ws_conn *ws, struct str text, struct str *type)
{
    const char      *why;
    struct json_doc *doc = json_read(text, &why);

    if (doc && json_type(json_root(doc)) == JSON_OBJECT) {
        *type = json_str(json_get(json_root(doc), "type"));
        return doc;
    }
    json_free(doc);
    assistant_socket_error(ws, STR("消息格式错误，请发送有效的JSON"), "INVALID_JSON");
    return NULL;
}
