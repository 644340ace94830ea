#include "pg/pg_watch.h"

#include "base/mem.h"
#include "net/loop.h"

struct pg_watch {                             /* outlives its end by a close    */
    uv_poll_t    handle;
    struct note *news;                        /* NULL: nobody listens any more  */
    int          events;
};

struct pg_watch *pg_watch_new(int fd, struct note *news)
{
    struct pg_watch *w;

    if (fd < 0)
        return NULL;
    w = mem_new(sizeof *w);
    w->news = news;
    w->handle.data = w;
    uv_poll_init(loop_get(), &w->handle, fd);
    return w;
}

static void on_socket(uv_poll_t *handle, int status, int events)
{
    struct pg_watch *w = handle->data;

    (void)events;
    /* After an error libuv does not listen any more. libpq finds the error by itself, but
     * perhaps only once it has read what came before. */
    if (status < 0)
        w->events = 0;
    if (w->news)
        note_leave(w->news);
}

void pg_watch_for(struct pg_watch *w, int events)
{
    if (!w || w->events == events)
        return;
    w->events = events;
    uv_poll_start(&w->handle, events, on_socket);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void pg_watch_end(struct pg_watch *w)
{
    if (!w)
        return;
    w->news = NULL;
    uv_close((uv_handle_t *)&w->handle, on_closed);
}
