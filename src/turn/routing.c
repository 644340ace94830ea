#include "turn/routing.h"

#include "base/utf8.h"
#include "provider/catalog.h"

#include <string.h>

/* ---- the usual rules -------------------------------------------------------------------- */

#define WORDS(list) { (struct str *)list, sizeof list / sizeof *list }

static const struct str news[] = {
    STR_INIT("最新"), STR_INIT("今天"), STR_INIT("现在"), STR_INIT("新闻"),
    STR_INIT("天气"), STR_INIT("股价"), STR_INIT("汇率"),
};
static const struct str small_talk[] = {
    STR_INIT("你好"), STR_INIT("谢谢"), STR_INIT("再见"),
    STR_INIT("问好"), STR_INIT("是吗"), STR_INIT("对吗"),
};
static const struct str work[] = {
    STR_INIT("请详细"), STR_INIT("分析"), STR_INIT("解释"),   STR_INIT("设计"),   STR_INIT("制定"),
    STR_INIT("规划"),   STR_INIT("代码"), STR_INIT("程序"),   STR_INIT("算法"),   STR_INIT("架构"),
    STR_INIT("系统"),   STR_INIT("方案"), STR_INIT("写一个"), STR_INIT("帮我写"), STR_INIT("创建"),
    STR_INIT("开发"),   STR_INIT("实现"), STR_INIT("教程"),
};

static const struct routing_rule usual[] = {
    { .name = STR_INIT("news"),
      .keywords = WORDS(news),
      .is_cloud = true,
      .reason = STR_INIT("需要最新信息，使用云端模型") },
    { .name = STR_INIT("simple"),
      .keywords = WORDS(small_talk),
      .shorter_than = 20,
      .reason = STR_INIT("简单任务，本地模型处理") },
    { .name = STR_INIT("complex"),
      .keywords = WORDS(work),
      .longer_than = 200,
      .is_cloud = true,
      .reason = STR_INIT("复杂任务，使用云端大模型") },
    { .name = STR_INIT("other"),
      .is_cloud = true,
      .reason = STR_INIT("低置信度任务，云端模型处理") },
};
enum { USUAL = sizeof usual / sizeof *usual };

/* ---- rules ------------------------------------------------------------------------------ */

static bool has_any(struct str text, const struct conf_texts *words)
{
    for (size_t i = 0; text.n && i < words->n; i++)
        if (memmem(text.p, text.n, words->items[i].p, words->items[i].n))
            return true;
    return false;
}

static bool fits(const struct routing_rule *r, struct str text, size_t length)
{
    if (!r->keywords.n && !r->shorter_than && !r->longer_than)
        return true;
    return has_any(text, &r->keywords) || length < r->shorter_than ||
           (r->longer_than && length > r->longer_than);
}

const struct routing_rule *routing_rule_for(const struct routing_settings *s, struct str text)
{
    const struct routing_rule *rules = s->rules.n ? s->rules.items : usual;
    size_t                     n = s->rules.n ? s->rules.n : USUAL, length = utf8_count(text);

    for (size_t i = 0; i < n; i++)
        if (fits(&rules[i], text, length))
            return &rules[i];
    return &usual[USUAL - 1];
}

/* ---- models ------------------------------------------------------------------------------- */

static bool may_use(const struct routing_wish *w, const struct model *m)
{
    return m && offer_can(m, ASKED_CHAT) && (!w->may_use || w->may_use(w->who, m->name));
}

static enum routing_side side_of(const struct model *m)
{
    return m->class == MODEL_LOCAL_SMALL || m->class == MODEL_LOCAL_LARGE ? ROUTING_LOCAL
                                                                          : ROUTING_CLOUD;
}

static enum routing_side other_side(enum routing_side side)
{
    return side == ROUTING_LOCAL ? ROUTING_CLOUD : ROUTING_LOCAL;
}

static const struct model *first_of(const struct routing_wish *w, enum model_class class)
{
    for (size_t i = 0; i < offer_count(); i++)
        if (offer_at(i)->class == class && may_use(w, offer_at(i)))
            return offer_at(i);
    return NULL;
}

/* The one of the settings; else any of that side, the proper class before the other. */
static const struct model *model_on(const struct routing_wish *w, enum routing_side side)
{
    const struct assistant_settings *s = &offer_catalog()->settings->assistant;
    bool                             is_local = side == ROUTING_LOCAL;
    struct str                       name = is_local ? s->local_model : s->cloud_model;
    const struct model              *m = name.n ? offer_find(name) : NULL;

    if (m)
        return may_use(w, m) ? m : NULL;
    m = first_of(w, is_local ? MODEL_LOCAL_SMALL : MODEL_CLOUD_LARGE);
    return m ? m : first_of(w, is_local ? MODEL_LOCAL_LARGE : MODEL_CLOUD_SMALL);
}

static enum routing_side wanted(const struct routing_wish *w, struct arena *a, struct routed *out)
{
    const struct routing_rule *r = routing_rule_for(&offer_catalog()->settings->routing, w->text);

    out->why = w->side == ROUTING_ANY ? ROUTING_BY_RULE : ROUTING_BY_SIDE;
    if (w->side != ROUTING_ANY)
        return w->side;
    out->reason = arena_str(a, r->reason);
    return r->is_cloud ? ROUTING_CLOUD : ROUTING_LOCAL;
}

bool routing_choose(const struct routing_wish *w, struct arena *a, struct routed *out)
{
    const struct model *m = w->model.n ? offer_find(w->model) : NULL, *other;

    *out = (struct routed){ .why = ROUTING_BY_NAME };
    if (may_use(w, m)) {
        out->side = side_of(m);
    } else {
        out->side = wanted(w, a, out);
        m = model_on(w, out->side);
    }
    other = model_on(w, other_side(out->side));
    if (!m && other) {
        out->why = ROUTING_INSTEAD;
        out->side = other_side(out->side);
        m = other;
    }
    out->model = m && other && other != m ? model_backed(m, other, a) : m;
    return out->model != NULL;
}

const struct model *routing_named(struct str name, struct routing_wish wish, struct arena *a)
{
    const struct model *named = offer_find(name);
    struct routed       routed;

    if (named || !str_eq(name, STR(ROUTING_AUTO)))
        return named && (!wish.may_use || wish.may_use(wish.who, name)) ? named : NULL;
    wish.side = ROUTING_ANY;
    wish.model = STR("");
    return routing_choose(&wish, a, &routed) ? routed.model : NULL;
}

bool routing_has(enum routing_side side)
{
    struct routing_wish anybody = { .side = ROUTING_ANY };

    return model_on(&anybody, side) != NULL;
}

bool routing_is_offered(void)
{
    return routing_has(ROUTING_LOCAL) && routing_has(ROUTING_CLOUD);
}
