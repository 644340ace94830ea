#include "net/resolve.h"

#include "base/clock.h"
#include "base/mem.h"
#include "net/loop.h"

#include <netdb.h>
#include <string.h>

enum { NAMES_MAX = 256, LOOKUPS_AT_ONCE = 2, GOOD_FOR_S = 60, BAD_FOR_S = 5 };

/* One name: in the cache, or on its way there. */
struct name {
    struct link      link;
    char            *text;
    bool             asking;                  /* a thread is at it              */
    uint64_t         until;                   /* the answer is good; 0: none yet */
    int              rc;
    struct addresses found;                   /* without a port                 */
    struct list      waiting;
    uv_getaddrinfo_t request;
};

static struct list names = { .head = { &names.head, &names.head } };
static size_t      asking;

static void ask_next(void);

static void name_free(struct name *n)
{
    list_take(&names, &n->link);
    mem_free(n->text);
    mem_free(n);
}

/* ---- answers ---------------------------------------------------------------------- */

static void set_port(union address *a, uint16_t port)
{
    if (a->any.sa_family == AF_INET6)
        a->v6.sin6_port = htons(port);
    else
        a->v4.sin_port = htons(port);
}

static void answer(struct lookup *l, int rc, const struct addresses *found)
{
    l->name = NULL;
    l->rc = rc;
    l->found = *found;
    for (size_t i = 0; i < l->found.n; i++)
        set_port(&l->found.items[i], l->port);
    note_leave(&l->note);
}

static void answer_all(struct name *n)
{
    struct link *k;

    while ((k = list_pop(&n->waiting)))
        answer(LIST_OWNER(k, struct lookup, link), n->rc, &n->found);
}

static void tell(struct note *note)
{
    struct lookup *l = LIST_OWNER(note, struct lookup, note);

    l->done(l);
}

static const struct addrinfo *next_of(const struct addrinfo *ai, int family)
{
    while (ai && ai->ai_family != family)
        ai = ai->ai_next;
    return ai;
}

/* One of the family that the system puts first, one of the other, and so on, so that a
 * family that leads nowhere costs one attempt and not all of them. */
static void take_addresses(struct addresses *out, const struct addrinfo *list)
{
    int                    first = list && list->ai_family == AF_INET6 ? AF_INET6 : AF_INET;
    int                    second = first == AF_INET ? AF_INET6 : AF_INET;
    const struct addrinfo *a = next_of(list, first), *b = next_of(list, second);

    out->n = 0;
    while ((a || b) && out->n < RESOLVE_ADDRESSES_MAX) {
        if (a) {
            memcpy(&out->items[out->n++], a->ai_addr, a->ai_addrlen);
            a = next_of(a->ai_next, first);
        }
        if (b && out->n < RESOLVE_ADDRESSES_MAX) {
            memcpy(&out->items[out->n++], b->ai_addr, b->ai_addrlen);
            b = next_of(b->ai_next, second);
        }
    }
}

static void on_answer(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct name *n = LIST_OWNER(request, struct name, request);

    asking--;
    n->asking = false;
    n->rc = status;
    take_addresses(&n->found, status == 0 ? list : NULL);
    uv_freeaddrinfo(list);
    if (n->rc == 0 && n->found.n == 0)
        n->rc = UV_EAI_NONAME;
    n->until = clock_now() + (n->rc == 0 ? GOOD_FOR_S : BAD_FOR_S) * CLOCK_S;
    answer_all(n);
    ask_next();
}

/* ---- questions ------------------------------------------------------------------------- */

static void ask(struct name *n)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    int             rc;

    rc = uv_getaddrinfo(loop_get(), &n->request, on_answer, n->text, NULL, &hints);
    if (rc == 0) {
        n->asking = true;
        asking++;
        return;
    }
    n->rc = rc;
    n->found.n = 0;
    answer_all(n);
}

static void ask_next(void)
{
    LIST_EACH(&names, k) {
        struct name *n = LIST_OWNER(k, struct name, link);

        if (asking >= LOOKUPS_AT_ONCE)
            return;
        if (n->waiting.n && !n->asking)
            ask(n);
    }
}

static struct name *find_name(struct str host)
{
    LIST_EACH(&names, k) {
        struct name *n = LIST_OWNER(k, struct name, link);

        if (str_eq_nocase(str_of(n->text), host))
            return n;
    }
    return NULL;
}

/* The cache is full: the oldest name that nobody waits for goes. */
static void make_room(void)
{
    LIST_EACH(&names, k) {
        struct name *n = LIST_OWNER(k, struct name, link);

        if (names.n < NAMES_MAX)
            return;
        if (!n->asking && n->waiting.n == 0) {
            name_free(n);
            return;
        }
    }
}

static struct name *name_new(struct str host)
{
    struct name *n = mem_new(sizeof *n);

    make_room();
    n->text = mem_copy(host.p, host.n);
    list_init(&n->waiting);
    list_push(&names, &n->link);
    return n;
}

void resolve_start(struct lookup *l, struct str host, uint16_t port, void (*done)(struct lookup *l))
{
    struct addresses numeric = { .n = 1 };
    struct name     *n;

    *l = (struct lookup){ .port = port, .done = done, .note.run = tell };
    if (address_read_host(host, &numeric.items[0])) {
        answer(l, 0, &numeric);
        return;
    }
    n = find_name(host);
    if (!n)
        n = name_new(host);
    if (n->until > clock_now()) {
        answer(l, n->rc, &n->found);
        return;
    }
    l->name = n;
    list_push(&n->waiting, &l->link);
    ask_next();
}

void resolve_cancel(struct lookup *l)
{
    if (l->name)
        list_take(&l->name->waiting, &l->link);
    l->name = NULL;
    note_tear(&l->note);
}

void resolve_forget(struct str host)
{
    struct name *n = find_name(host);

    if (n)
        n->until = 0;
}

/* A thread that hangs in the C library cannot be called back; its name is left to it. */
void resolve_forget_all(void)
{
    struct list  kept;
    struct link *k;

    list_init(&kept);
    while ((k = list_first(&names))) {
        struct name *n = LIST_OWNER(k, struct name, link);

        if (n->asking) {
            list_take(&names, k);
            list_push(&kept, k);
        } else {
            name_free(n);
        }
    }
    while ((k = list_pop(&kept)))
        list_push(&names, k);
}
