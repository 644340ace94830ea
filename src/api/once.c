#include "api/once.h"

#include "api/api.h"
#include "wire/sha256.h"

enum { KEY_MAX = 255 };

static bool is_plain(struct str key)
{
    for (size_t i = 0; i < key.n; i++)
        if ((unsigned char)key.p[i] < ' ' || (unsigned char)key.p[i] >= 0x7f)
            return false;
    return key.n > 0 && key.n <= KEY_MAX;
}

/* The same body means something else at another door. */
static struct str hash_of(const struct http_exchange *x, const struct http_reader *rq,
                          struct arena *a)
{
    const struct route *route = x->route;
    struct str          body = http_reader_body(rq), path = str_of(route->path);
    struct buf          all = BUF(body.n + path.n + 1);
    unsigned char       digest[SHA256_BYTES];

    buf_add(&all, path);
    buf_add_char(&all, '\n');
    buf_add(&all, body);
    sha256(buf_str(&all), digest);
    buf_release(&all);
    return arena_str(a, (struct str){ (const char *)digest, sizeof digest });
}

bool once_read(const struct http_exchange *x, const struct http_reader *rq, struct arena *a,
               struct turn_keeping *keeping, const char **why)
{
    struct str name = STR("idempotency-key");

    if (http_reader_count(rq, name) == 0)
        return true;
    keeping->key = arena_str(a, str_trim(http_reader_header(rq, name)));
    *why = "Idempotency-Key must come once, as 1 to 255 printable ASCII characters";
    if (http_reader_count(rq, name) > 1 || !is_plain(keeping->key))
        return false;
    keeping->question_hash = hash_of(x, rq, a);
    return true;
}
