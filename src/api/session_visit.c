#include "api/session_visit.h"

#include "api/api.h"
#include "api/guard.h"
#include "api/session_dialect.h"
#include "base/clock.h"
#include "base/id.h"
#include "wire/http_text.h"
#include "wire/sha256.h"

#include <stdio.h>

enum { UUID_LENGTH = 36, HASH_BYTES = 20, NAME_MAX_BYTES = 1000 };

static const char no_database[] = "sessions need a database, and this service has none";

const char session_replaced[] = "{\"replaced\":true}";

/* ---- refusals ------------------------------------------------------------------------------ */

bool session_is_path(struct str path)
{
    return str_starts(path, STR("/api/chat/"));
}

bool session_is_ai_path(struct str path)
{
    static const char *const not_his[] = { "sessions", "tasks", "operations", "config", "health" };
    struct str               rest, first;

    if (str_eq(path, STR("/api/chat")))
        return true;
    if (!session_is_path(path))
        return false;
    rest = str_from(path, sizeof "/api/chat/" - 1);
    first = (struct str){ rest.p, str_find(rest, '/') };
    for (size_t i = 0; i < sizeof not_his / sizeof *not_his; i++)
        if (str_eq(first, str_of(not_his[i])))
            return false;
    rest = str_from(rest, first.n);
    return str_eq(rest, STR("/stream")) || str_eq(rest, STR("/cancel"));
}

/* Who is not let in, and where there is nothing, reads what stands there in any such service. */
void session_refuse_early(struct buf *out, const struct http_exchange *x, struct str path,
                          int status, const char *why)
{
    if (session_is_ai_path(path)) {
        buf_lit(out, "{\"error\":");
        json_add_str(out, str_of(why));
        buf_lit(out, "}");
    } else if (status == 400 || status >= 500) {
        session_write_refusal(out, http_method_name(x->method), path, status, why);
    } else {
        session_write_detail(out, why);
    }
}

static void answer(struct visit *v, int status, const struct buf *body)
{
    struct str fields = status == 503   ? STR("retry-after: 30\r\n")
                        : status == 429 ? STR("retry-after: 5\r\n")
                                        : STR("");

    http_answer(v->x,
                &(struct http_answer){ status, STR("application/json"), fields, buf_str(body) });
    visit_end(v);
}

void session_visit_refuse(struct visit *v, int status, const char *why)
{
    struct buf body = BUF(64 << 10);

    if (session_is_ai_path(v->path))
        session_refuse_early(&body, v->x, v->path, status, why);
    else
        session_write_refusal(&body, http_method_name(v->x->method), v->path, status, why);
    answer(v, status, &body);
    buf_release(&body);
}

void session_visit_detail(struct visit *v, int status, const char *why)
{
    struct buf body = BUF(64 << 10);

    session_write_detail(&body, why);
    answer(v, status, &body);
    buf_release(&body);
}

void session_visit_refuse_value(struct visit *v, const char *in, const char *name, const char *why)
{
    struct buf body = BUF(64 << 10);

    buf_addf(&body, "{\"message\":\"Invalid data for %s ", http_method_name(v->x->method));
    json_add_text(&body, v->path);
    buf_addf(&body, "\",\"detail\":[{\"type\":\"value_error\",\"loc\":[\"%s\"", in);
    if (*name) {
        buf_lit(&body, ",");
        json_add_str(&body, str_of(name));
    }
    buf_lit(&body, "],\"msg\":");
    json_add_str(&body, str_of(why));
    buf_lit(&body, "}],\"hint\":\"Ensure the request matches the API schema.\"}");
    if (session_is_ai_path(v->path)) {
        session_visit_refuse(v, 422, why);
    } else {
        answer(v, 422, &body);
    }
    buf_release(&body);
}

/* Nobody learns whether a session that is not his is there. */
void session_visit_fail(struct visit *v, enum store_end end)
{
    struct str name = session_visit_name(v);
    char       why[NAME_MAX_BYTES + 40];

    if (end == STORE_NOT_FOUND) {
        snprintf(why, sizeof why, "Session %.*s not found.", STR_ARG(name));
        session_visit_refuse(v, 404, why);
    } else if (end == STORE_CROWDED) {
        session_visit_detail(v, 429, fault_text(FAULT_TOO_MANY_AT_ONCE));
    } else if (end == STORE_REFUSED || end == STORE_CONFLICT) {
        session_visit_refuse(v, 400, "the request holds what cannot be kept");
    } else {
        session_visit_refuse(v, 503, "the database is away; please ask again in a moment");
    }
}

void session_visit_answer(struct visit *v, struct str json)
{
    api_answer_json(v->x, 200, json);
    visit_end(v);
}

void session_visit_nothing(struct visit *v, int status)
{
    http_answer(v->x, &(struct http_answer){ .status = status });
    visit_end(v);
}

/* ---- names --------------------------------------------------------------------------------- */

static bool is_uuid(struct str s)
{
    bool good = s.n == UUID_LENGTH;

    for (size_t i = 0; good && i < s.n; i++) {
        char c = s.p[i];

        if (i == 8 || i == 13 || i == 18 || i == 23)
            good = c == '-';
        else
            good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    }
    return good;
}

struct str session_new_name(struct arena *a)
{
    char text[ID_UUID_SIZE];

    id_fill_uuid(text);
    return arena_str(a, str_of(text));
}

static struct str name_for_owner(struct visit *v, struct str name)
{
    struct buf    both = BUF(v->whose.owner.n + name.n + 1);
    unsigned char digest[SHA256_BYTES];
    char          uid[2 * HASH_BYTES + 2] = "~";

    buf_add(&both, v->whose.owner);
    buf_add_char(&both, '\n');
    buf_add(&both, name);
    sha256(buf_str(&both), digest);
    buf_release(&both);
    for (size_t i = 0; i < HASH_BYTES; i++)
        snprintf(uid + 1 + 2 * i, 3, "%02x", digest[i]);
    return arena_str(&v->arena, str_of(uid));
}

void session_visit_call(struct visit *v, struct str name)
{
    struct str *kept = arena_new(&v->arena, sizeof *kept);

    *kept = arena_str(&v->arena, name);
    v->name = kept;
    v->chat = (struct chat_name){ .uid = is_uuid(name) ? *kept : name_for_owner(v, name) };
}

struct str session_visit_name(const struct visit *v)
{
    return v->name ? *v->name : STR("");
}

struct str session_visit_more(struct visit *v, struct str name)
{
    struct buf more = BUF(8 * name.n + 40);
    struct str s;

    if (is_uuid(name))
        return STR("");
    buf_lit(&more, "{\"id\":");
    json_add_str(&more, name);
    buf_lit(&more, "}");
    s = arena_str(&v->arena, buf_str(&more));
    buf_release(&more);
    return s;
}

struct str session_name_of(struct visit *v, const struct kept_chat *c)
{
    const char      *why;
    struct json_doc *doc = c->uid.n && c->uid.p[0] == '~' ? json_read(c->more, &why) : NULL;
    struct str       name = doc ? json_str(json_get(json_root(doc), "id")) : c->uid;

    name = arena_str(&v->arena, name);
    json_free(doc);
    return name;
}

bool session_is_replaced(struct str more)
{
    const char      *why;
    struct json_doc *doc = more.n > 2 ? json_read(more, &why) : NULL;
    bool             is = doc && json_is_true(json_get(json_root(doc), "replaced"));

    json_free(doc);
    return is;
}

enum fault session_refused_by(struct str more)
{
    const char      *why;
    struct json_doc *doc = more.n > 2 ? json_read(more, &why) : NULL;
    struct str       name = doc ? json_str(json_get(json_root(doc), "fault")) : STR("");
    enum fault       fault = fault_read(name);

    json_free(doc);
    return fault;
}

/* ---- what it brings -------------------------------------------------------------------------- */

struct visit *session_visit_new(struct http_exchange *x, const struct http_reader *rq)
{
    struct visit *v = visit_new(x, SESSION_DIALECT_NAME);

    v->path = arena_str(&v->arena, rq->target.path);
    if (api_store())
        return v;
    session_visit_refuse(v, 503, no_database);
    return NULL;
}

bool session_visit_takes_session(struct visit *v, const struct http_reader *rq)
{
    struct str name;

    if (api_path_id(v->x, rq, &v->arena, &name) && name.n <= NAME_MAX_BYTES) {
        session_visit_call(v, name);
        return true;
    }
    session_visit_refuse(v, 404, "Session not found.");
    return false;
}

bool session_visit_takes_body(struct visit *v, const struct http_reader *rq)
{
    const char *why = "it must be a JSON object";

    v->body = json_read(http_reader_body(rq), &why);
    if (v->body && json_type(json_root(v->body)) == JSON_OBJECT)
        return true;
    session_visit_refuse_value(v, "body", "", why);
    return false;
}

bool session_visit_takes_count(struct visit *v, const struct http_reader *rq, const char *name,
                               int64_t least, int64_t most, int64_t *n)
{
    struct str      value;
    uint64_t        number;
    char            why[80];
    enum http_query q = http_query_get(rq->target.query, str_of(name), &v->arena, &value);

    if (q == HTTP_QUERY_ABSENT)
        return true;
    if (q == HTTP_QUERY_FOUND && str_to_u64(value, &number) && number >= (uint64_t)least &&
        number <= (uint64_t)most) {
        *n = (int64_t)number;
        return true;
    }
    snprintf(why, sizeof why, "it must be an integer from %lld to %lld", (long long)least,
             (long long)most);
    session_visit_refuse_value(v, "query", name, why);
    return false;
}

/* ---- pieces of answers ------------------------------------------------------------------------- */

void session_add_time(struct buf *out, const char *member, int64_t micros)
{
    char text[CLOCK_ISO_SIZE];

    clock_iso(micros, text);
    buf_addf(out, ",\"%s\":\"%s\"", member, text);
}

void session_add_owner(struct buf *out, struct str owner)
{
    buf_lit(out, ",\"user_id\":");
    if (owner.n)
        json_add_str(out, owner);
    else
        buf_lit(out, "null");
}
