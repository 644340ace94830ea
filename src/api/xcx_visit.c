#include "api/xcx_visit.h"

#include "api/api.h"
#include "api/guard.h"
#include "api/xcx_answer.h"
#include "wire/http_text.h"

#include <stdio.h>

enum { PAGE_MAX = 1000000000, PAGE_SIZE_MAX = 100 };

#define EXACT_MAX 9007199254740992.0

struct visit *xcx_visit_new(struct http_exchange *x)
{
    if (api_store())
        return visit_new(x, "xcx");
    xcx_refuse(x, 503, "conversations need a database, and this service has none");
    return NULL;
}

struct str xcx_visit_user_id(struct visit *v)
{
    int64_t account = guard_asker(v->x)->account;
    char    id[24];

    if (!account)
        return v->whose.owner;
    snprintf(id, sizeof id, "%lld", (long long)account);
    return arena_str(&v->arena, str_of(id));
}

struct lookup_about xcx_visit_about(struct visit *v, struct str context_id)
{
    return (struct lookup_about){ .site_id = v->whose.tenant,
                                  .tenant = guard_asker(v->x)->tenant_name,
                                  .user_id = xcx_visit_user_id(v),
                                  .context_id = context_id };
}

/* ---- ends -------------------------------------------------------------------------------- */

void xcx_visit_answer(struct visit *v, struct str json)
{
    xcx_answer(v->x, json);
    visit_end(v);
}

void xcx_visit_refuse(struct visit *v, int status, const char *why)
{
    xcx_refuse(v->x, status, why);
    visit_end(v);
}

/* Nobody learns whether a conversation that is not his is there. */
void xcx_visit_fail(struct visit *v, enum store_end end)
{
    if (end == STORE_NOT_FOUND)
        xcx_visit_refuse(v, 403, "无权访问该对话");
    else if (end == STORE_REFUSED || end == STORE_CONFLICT)
        xcx_visit_refuse(v, 422, "请求包含无法保存的内容");
    else
        xcx_visit_refuse(v, 503, "数据库暂时不可用，请稍后再试");
}

static bool refuse_value(struct visit *v, const char *name, const char *why)
{
    char text[200];

    snprintf(text, sizeof text, "%s: %s", name, why);
    xcx_visit_refuse(v, 422, text);
    return false;
}

/* ---- what it brings ---------------------------------------------------------------------- */

static bool read_number(struct str s, int64_t least, int64_t most, int64_t *out)
{
    uint64_t n;

    if (!str_to_u64(s, &n) || n < (uint64_t)least || n > (uint64_t)most)
        return false;
    *out = (int64_t)n;
    return true;
}

static bool is_integer(struct str s)
{
    bool has_digits = false;

    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = str_from(s, 1);
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        has_digits = true;
    }
    return has_digits;
}

/* An integer that no conversation has is one that is not there. */
static bool read_chat(struct str s, int64_t *id)
{
    *id = 0;
    return read_number(s, 1, INT64_MAX, id) || is_integer(s);
}

/* JSON's numbers are exact up to 2^53, and beyond that all of them are integers. */
static bool read_chat_value(const struct json *value, int64_t *id)
{
    double d = 0;

    if (json_type(value) == JSON_STRING)
        return read_chat(json_str(value), id);
    *id = 0;
    if (json_int(value, id)) {
        *id = *id > 0 ? *id : 0;
        return true;
    }
    return json_number(value, &d) && (d >= EXACT_MAX || d <= -EXACT_MAX);
}

bool xcx_visit_takes_chat(struct visit *v, const struct http_reader *rq)
{
    struct str id;

    if (api_path_id(v->x, rq, &v->arena, &id) && read_chat(id, &v->chat.id))
        return true;
    return refuse_value(v, "chat_id", "必须是整数");
}

bool xcx_visit_takes_chat_in_body(struct visit *v)
{
    const struct json *root = json_root(v->body), *id = json_get(root, "chatId");

    if (!id)
        id = json_get(root, "chat_id");
    if (read_chat_value(id, &v->chat.id))
        return true;
    return refuse_value(v, "chatId", id ? "必须是整数" : "不能缺少");
}

static bool takes_number(struct visit *v, const struct http_reader *rq, const char *name,
                         const char *also, int64_t most, int64_t *n)
{
    struct str      value;
    char            why[60];
    enum http_query q = http_query_get(rq->target.query, str_of(name), &v->arena, &value);

    if (q == HTTP_QUERY_ABSENT && also)
        q = http_query_get(rq->target.query, str_of(also), &v->arena, &value);
    if (q == HTTP_QUERY_ABSENT)
        return true;
    if (q == HTTP_QUERY_FOUND && read_number(value, 1, most, n))
        return true;
    snprintf(why, sizeof why, "必须是 1 到 %lld 的整数", (long long)most);
    return refuse_value(v, name, why);
}

bool xcx_visit_takes_pages(struct visit *v, const struct http_reader *rq, int64_t page_size)
{
    v->page = 1;
    v->page_size = page_size;
    return takes_number(v, rq, "page", NULL, PAGE_MAX, &v->page) &&
           takes_number(v, rq, "page_size", "pageSize", PAGE_SIZE_MAX, &v->page_size);
}

bool xcx_visit_takes_body(struct visit *v, const struct http_reader *rq)
{
    const char *why = "";

    v->body = json_read(http_reader_body(rq), &why);
    if (v->body && json_type(json_root(v->body)) == JSON_OBJECT)
        return true;
    return refuse_value(v, "body", v->body ? "必须是 JSON 对象" : why);
}

/* The white space that Python's strip() takes away, and that of JavaScript's trim(). */
static size_t blank(struct str s)
{
    static const struct str wide[] = {
        STR_INIT("\xc2\x85"), STR_INIT("\u00a0"), STR_INIT("\u1680"), STR_INIT("\u2000"),
        STR_INIT("\u2001"),   STR_INIT("\u2002"), STR_INIT("\u2003"), STR_INIT("\u2004"),
        STR_INIT("\u2005"),   STR_INIT("\u2006"), STR_INIT("\u2007"), STR_INIT("\u2008"),
        STR_INIT("\u2009"),   STR_INIT("\u200a"), STR_INIT("\u2028"), STR_INIT("\u2029"),
        STR_INIT("\u202f"),   STR_INIT("\u205f"), STR_INIT("\u3000"), STR_INIT("\ufeff"),
    };
    char c = s.n ? s.p[0] : 'x';

    if (c == ' ' || (c >= '\t' && c <= '\r') || (c >= '\x1c' && c <= '\x1f'))
        return 1;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (str_starts(s, wide[i]))
            return wide[i].n;
    return 0;
}

static struct str strip(struct str s)
{
    size_t n, end = 0;

    while ((n = blank(s)))
        s = str_from(s, n);
    for (size_t at = 0; at < s.n; at += n ? n : 1) {
        n = blank(str_from(s, at));
        if (!n)
            end = at + 1;
    }
    s.n = end;
    return s;
}

bool xcx_visit_takes_content(struct visit *v, struct str *content)
{
    const struct json *value = json_get(json_root(v->body), "content");

    if (json_type(value) != JSON_STRING)
        return refuse_value(v, "content", value ? "必须是字符串" : "不能缺少");
    *content = strip(json_str(value));
    if (content->n)
        return true;
    xcx_visit_refuse(v, 422, "消息内容不能为空");
    return false;
}
