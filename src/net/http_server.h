/* http_server.h - an HTTP/1.1 server: connections, their limits and their answers.
 *
 * Each connection carries one exchange at a time; requests that a client pipelines
 * wait their turn. An exchange goes to the app twice: on_head() with the body unread,
 * on_request() with all of it. What the request points to lives until it is answered
 * or on_request() returns, whichever is first. The app answers now or later, in one of two ways:
 *
 *     http_answer()                                   the whole answer at once
 *     http_begin(), http_body()..., http_push()...,   a streamed one
 *     http_finish()
 *
 * or in a third: http_upgrade() says 101, and from then on the connection's bytes are his,
 * until he hangs up or the client goes.
 *
 * Whoever answers later registers with http_watch(). If the client goes first, gone()
 * is called once, from the top of the stack, and the exchange is then dead to him;
 * after http_answer() or http_finish() it is dead as well, and gone() does not come.
 * Everything an app writes to an exchange is checked by nobody else: field values must
 * be plain (wire/http_text.h).
 */
#ifndef NET_HTTP_SERVER_H
#define NET_HTTP_SERVER_H

#include "base/address.h"
#include "base/list.h"
#include "net/http_reader.h"
#include "net/listener.h"

enum { HTTP_ID_SIZE = 65 };

struct http_exchange {
    /* The server's. */
    enum { HTTP_QUIET, HTTP_ASKED, HTTP_STREAMING, HTTP_UPGRADED } phase;
    bool                       keep_alive, chunked, held;
    size_t                     chunk_at; /* where the open chunk's text begins; 0: none */
    char                      *fields;   /* go out with every answer       */
    const struct http_upgrade *upgrade;       /* HTTP_UPGRADED                  */
    void (*gone)(void *user);
    void (*room)(void *user);
    void *user;

    char             id[HTTP_ID_SIZE];        /* the request id                 */
    char             client[ADDRESS_TEXT_SIZE];
    bool             logged;                  /* the app's own                  */
    enum http_method method;
    int              status;                  /* 0: not answered yet            */
    uint64_t         started;                 /* clock, ns                      */
    const void      *route;                   /* the app's own                  */
    void            *who;                     /* the app's own                  */
};

struct http_answer {
    int        status;
    struct str type;                          /* Content-Type; empty: none      */
    struct str fields;                        /* "name: value\r\n"...           */
    struct str body;
};

/* What an upgraded connection tells whoever has it; room() and gone() are as http_watch()
 * was told. */
struct http_upgrade {
    void (*bytes)(void *user, struct str bytes);
    void (*drain)(void *user);                /* the service wants to end       */
};

struct http_app {
    /* False: it has been refused (http_refuse) and the body is not wanted. */
    bool (*on_head)(struct http_exchange *x, const struct http_reader *rq);
    void (*on_request)(struct http_exchange *x, const struct http_reader *rq);
    /* The body of a refusal. The path is empty when the request was not readable. */
    void (*write_refusal)(const struct http_exchange *x, struct str path, int status,
                          const char *why, struct buf *body);
    void (*on_end)(const struct http_exchange *x, struct str path);
};

struct http_server {
    const struct http_settings *settings;
    const struct http_app      *app;
    struct listener             listener;
    struct list                 connections;
    uint64_t                    queue_bytes;  /* high water of one connection   */
    uint64_t                    max_connections; /* what the descriptors allow  */
    bool                        draining;
};

/* Takes connections from a socket that listens; 0 or a negative UV code. The app and the
 * settings stay the caller's. */
int  http_server_open(struct http_server *s, const struct http_app *app,
                      const struct http_settings *settings, uint64_t queue_bytes, int fd);
void http_server_configure(struct http_server *s, const struct http_settings *settings,
                           uint64_t queue_bytes);
void http_server_drain(struct http_server *s);       /* no new ones; idle ones close soon */
void http_server_hurry(struct http_server *s);       /* after drain: no last requests    */
void http_server_cut(struct http_server *s);         /* close what is left               */
bool http_server_is_empty(const struct http_server *s);

/* From on_head() on: the request is not handed over before it is released, however soon its
 * body is whole. Whoever holds it may also refuse it. */
void http_hold(struct http_exchange *x);
void http_release(struct http_exchange *x);

void http_answer(struct http_exchange *x, const struct http_answer *a);
void http_refuse(struct http_exchange *x, int status, const char *why, struct str fields);

void        http_begin(struct http_exchange *x, int status, struct str type, struct str fields);
struct buf *http_body(struct http_exchange *x);
bool        http_push(struct http_exchange *x);      /* false: it is full; room() will tell */
void        http_finish(struct http_exchange *x);

/* `fields` are those of the 101. What it sends goes through http_body() and http_push(). */
void http_upgrade(struct http_exchange *x, struct str fields, const struct http_upgrade *ops);
void http_read(struct http_exchange *x, bool on);    /* whether its bytes are wanted now */
void http_hang_up(struct http_exchange *x);          /* when what was said is out; no gone() */
void http_cut(struct http_exchange *x);              /* at once, with gone()            */

void http_watch(struct http_exchange *x, void (*gone)(void *user), void (*room)(void *user),
                void                 *user);
void http_add_fields(struct http_exchange *x, struct str fields);

#endif
