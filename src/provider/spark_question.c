#include "provider/spark_question.h"

#include "provider/messages.h"
#include "provider/options.h"

/* ---- domains ---------------------------------------------------------------------------- */

static const struct domain {
    struct str name, path;
    uint64_t   max_tokens;
    bool       has_functions, is_x1;          /* X1 reasons, and has more to turn */
} domains[] = {
    { STR_INIT("lite"), STR_INIT("/v1.1/chat"), 4096, false, false },
    { STR_INIT("general"), STR_INIT("/v1.1/chat"), 4096, false, false },
    { STR_INIT("generalv2"), STR_INIT("/v2.1/chat"), 4096, false, false },
    { STR_INIT("generalv3"), STR_INIT("/v3.1/chat"), 8192, false, false },
    { STR_INIT("pro-128k"), STR_INIT("/chat/pro-128k"), 4096, false, false },
    { STR_INIT("generalv3.5"), STR_INIT("/v3.5/chat"), 8192, true, false },
    { STR_INIT("max-32k"), STR_INIT("/chat/max-32k"), 8192, true, false },
    { STR_INIT("4.0Ultra"), STR_INIT("/v4.0/chat"), 8192, true, false },
    { STR_INIT("spark-x"), STR_INIT("/v1/x1"), 65535, false, true },
    { STR_INIT("x1"), STR_INIT("/v1/x1"), 65535, false, true },
};

/* One made to measure: what it can do is between its maker and the client. */
static const struct domain unknown = { .max_tokens = UINT64_MAX, .has_functions = true };

static const struct domain *find_domain(struct str name)
{
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
        if (str_eq(domains[i].name, name))
            return &domains[i];
    return &unknown;
}

struct str spark_path(struct str base_path, struct str model)
{
    return base_path.n ? base_path : find_domain(model)->path;
}

void spark_write_target(const struct spark_visit *v, struct buf *out)
{
    buf_add(out, v->path);
    buf_lit(out, "?");
    spark_add_query(v, out);
}

/* ---- header ------------------------------------------------------------------------------ */

enum { UID_MAX = 32 };

/* FNV-1a: the same for the same user, and that is all it has to be. */
static uint64_t hash(struct str s)
{
    uint64_t h = 14695981039346656037u;

    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h;
}

static void write_uid(struct str user, struct members *m)
{
    if (user.n <= UID_MAX)
        members_add_str(m, "uid", user.n ? user : STR("1"));
    else if (members_add_name(m, "uid"))
        buf_addf(m->out, "\"%016llx\"", (unsigned long long)hash(user));
}

static void write_header(const struct provider *p, const struct options *o, struct members *m)
{
    struct members inner;

    members_add_name(m, "header");
    inner = members_open(m->out);
    members_add_str(&inner, "app_id", p->settings->app_id);
    write_uid(json_str(json_get(options_client(o), "user")), &inner);
    members_add(&inner, "patch_id", options_get(o, "patch_id"));
    members_close(&inner);
}

/* ---- parameter --------------------------------------------------------------------------- */

static void write_web_search(const struct options *o, struct members *m)
{
    struct json_walk   w = json_walk(options_tools(o));
    const struct json *tool;
    bool               any = false;

    while ((tool = json_walk_next(&w))) {
        if (!str_eq(json_str(json_get(tool, "type")), STR("web_search")))
            continue;
        if (!any)
            members_add_name(m, "tools");
        buf_add(m->out, any ? STR(",") : STR("["));
        json_add_value(m->out, tool);
        any = true;
    }
    if (any)
        buf_lit(m->out, "]");
}

static void write_x1(const struct json *client, struct members *m)
{
    struct str effort = json_str(json_get(client, "reasoning_effort"));

    members_add(m, "thinking", json_get(client, "thinking"));
    if (str_eq(effort, STR("none")) && members_add_name(m, "thinking"))
        buf_lit(m->out, "{\"type\":\"disabled\"}");
    members_add(m, "top_p", json_get(client, "top_p"));
    members_add(m, "presence_penalty", json_get(client, "presence_penalty"));
    members_add(m, "frequency_penalty", json_get(client, "frequency_penalty"));
}

static void write_parameter(const struct options *o, const struct question *q, struct str model,
                            struct members *m)
{
    const struct domain *d = find_domain(model);
    const struct json   *client = options_client(o);
    struct members       inner;
    int64_t              top_k;

    members_add_name(m, "parameter");
    buf_lit(m->out, "{\"chat\":");
    inner = members_open(m->out);
    members_add_str(&inner, "domain", model);
    members_add_clamped(&inner, "temperature", json_get(client, "temperature"), 0.01, 1);
    if (q->max_tokens)
        members_add_u64(&inner, "max_tokens",
                        q->max_tokens < d->max_tokens ? q->max_tokens : d->max_tokens);
    if (json_int(json_get(client, "top_k"), &top_k))
        members_add_clamped(&inner, "top_k", json_get(client, "top_k"), 1, 6);
    write_web_search(o, &inner);
    if (d->is_x1)
        write_x1(client, &inner);
    members_skip(&inner, "patch_id");         /* stands in the header           */
    members_add_rest(&inner, options_extra(o));
    members_close(&inner);
    buf_lit(m->out, "}");
}

/* ---- payload ----------------------------------------------------------------------------- */

/* User and assistant take turns, from a user's to a user's; what one of them says in
 * several messages is one turn. */
struct turns {
    struct buf *out;
    const char *role;                         /* whose turn it is; NULL: nobody's yet */
    struct buf  said;
    bool        any;
};

static bool is_turn_of(const struct turns *t, const char *role)
{
    return t->role && str_eq(str_of(t->role), str_of(role));
}

static void end_turn(struct turns *t)
{
    if (!t->role)
        return;
    buf_addf(t->out, "%s{\"role\":\"%s\",\"content\":", t->any ? "," : "", t->role);
    json_add_str(t->out, buf_str(&t->said));
    buf_lit(t->out, "}");
    buf_clear(&t->said);
    t->any = true;
}

static void say(struct turns *t, const char *role, struct str text)
{
    if (is_turn_of(t, role)) {
        buf_lit(&t->said, "\n\n");
    } else {
        end_turn(t);
        t->role = role;
    }
    buf_add(&t->said, text);
}

static const char *told_role(const struct turns *t, enum role role)
{
    bool is_first = !t->role || is_turn_of(t, "system");

    if (role == ROLE_ASSISTANT)
        return "assistant";
    return is_first && (role == ROLE_SYSTEM || role == ROLE_DEVELOPER) ? "system" : "user";
}

static void tell(struct turns *t, const char *role, struct str text)
{
    bool is_first = !t->role || is_turn_of(t, "system");

    if (!text.n)
        return;                               /* the service refuses it         */
    if (is_first && str_eq(str_of(role), STR("assistant")))
        say(t, "user", STR("Hello."));
    say(t, role, text);
}

static void write_messages(const struct question *q, struct members *m)
{
    struct message_walk w = message_walk(q);
    struct turns        t = { .out = m->out, .said = BUF(SIZE_MAX / 2) };
    struct buf          text = BUF(SIZE_MAX / 2);

    members_add_name(m, "message");
    buf_lit(m->out, "{\"text\":[");
    while (message_walk_next(&w)) {
        buf_clear(&text);
        message_tell(&w, &text);
        tell(&t, told_role(&t, w.message->role), buf_str(&text));
    }
    if (is_turn_of(&t, "assistant"))
        say(&t, "user", STR("Go on."));
    else if (is_turn_of(&t, "system"))
        say(&t, "user", STR("Hello."));
    end_turn(&t);
    buf_lit(m->out, "]}");
    buf_release(&text);
    buf_release(&t.said);
}

static void write_functions(const struct options *o, struct members *m)
{
    struct json_walk   w = json_walk(options_tools(o));
    const struct json *tool;
    bool               any = false;

    while ((tool = json_walk_next(&w))) {
        if (!tool_function(tool))
            continue;
        if (!any)
            members_add_name(m, "functions");
        buf_add(m->out, any ? STR(",") : STR("{\"text\":["));
        tool_write_function(tool_function(tool), "parameters", m->out);
        any = true;
    }
    if (any)
        buf_lit(m->out, "]}");
}

static void write_payload(const struct options *o, const struct question *q, struct str model,
                          struct members *m)
{
    struct members inner;
    struct str     name;

    members_add_name(m, "payload");
    inner = members_open(m->out);
    write_messages(q, &inner);
    if (find_domain(model)->has_functions && options_tool_choice(o, &name) != TOOLS_NONE)
        write_functions(o, &inner);
    members_close(&inner);
}

static bool takes_no_part(const struct message_walk *w, struct str picture)
{
    (void)w;
    (void)picture;
    return false;
}

bool spark_takes(const struct provider *p, const struct question *q)
{
    (void)p;
    return parts_are_taken(q, takes_no_part);
}

void spark_write_question(const struct provider *p, const struct question *q, struct str model,
                          struct buf *out)
{
    struct options o = options_open(p, q);
    struct members m = members_open(out);

    write_header(p, &o, &m);
    write_parameter(&o, q, model, &m);
    write_payload(&o, q, model, &m);
    members_close(&m);
    options_close(&o);
}
