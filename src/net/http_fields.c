#include "net/http_fields.h"

#include "base/mem.h"

void http_fields_clear(struct http_fields *f, size_t max_bytes)
{
    buf_clear(&f->text);
    f->text.limit = max_bytes;
    f->n = 0;
}

void http_fields_release(struct http_fields *f)
{
    buf_release(&f->text);
    mem_free(f->items);
    *f = (struct http_fields){ .n = 0 };
}

static struct http_field *last(struct http_fields *f)
{
    return f->n ? &f->items[f->n - 1] : NULL;
}

static struct http_field *begin(struct http_fields *f)
{
    if (f->n == f->room) {
        f->room = f->room ? f->room * 2 : 32;
        f->items = mem_resize(f->items, f->room * sizeof *f->items);
    }
    f->items[f->n] = (struct http_field){ .name_at = (uint32_t)f->text.n };
    return &f->items[f->n++];
}

/* A value's place is never 0, because its name stands before it: 0 means "no value yet". */
bool http_fields_add_name(struct http_fields *f, struct str piece)
{
    struct http_field *field = last(f);

    if (!field || field->value_at)
        field = begin(f);
    if (!buf_reserve(&f->text, piece.n))
        return false;                         /* a field never counts what is not there */
    buf_add(&f->text, piece);
    field->name_n += (uint32_t)piece.n;
    return true;
}

bool http_fields_add_value(struct http_fields *f, struct str piece)
{
    struct http_field *field = last(f);

    if (!field->value_at)
        field->value_at = (uint32_t)f->text.n;
    if (!buf_reserve(&f->text, piece.n))
        return false;
    buf_add(&f->text, piece);
    field->value_n += (uint32_t)piece.n;
    return true;
}

void http_fields_end_value(struct http_fields *f)
{
    http_fields_add_value(f, (struct str){ NULL, 0 });
}

static bool has_name(const struct http_fields *f, size_t i, struct str name)
{
    return str_eq_nocase((struct str){ f->text.p + f->items[i].name_at, f->items[i].name_n }, name);
}

struct str http_fields_nth(const struct http_fields *f, struct str name, size_t n)
{
    for (size_t i = 0; i < f->n; i++)
        if (has_name(f, i, name) && n-- == 0)
            return str_trim((struct str){ f->text.p + f->items[i].value_at, f->items[i].value_n });
    return (struct str){ NULL, 0 };
}

size_t http_fields_count(const struct http_fields *f, struct str name)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n; i++)
        n += has_name(f, i, name);
    return n;
}
