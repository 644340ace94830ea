/* routing_test.c - which rule fits a question, and which model answers then. */
#include "check.h"

#include "provider/catalog.h"
#include "turn/routing.h"

static struct buf mistakes = { .limit = 1 << 20 };

static void offer(const char *text)
{
    struct settings *s;

    check_write_conf(str_of(text));
    s = settings_load("conf.yaml", NULL, &mistakes);
    check_str(buf_str(&mistakes), "");
    offer_use(catalog_new(s));
}

static struct str repeated(struct arena *a, const char *character, size_t n)
{
    struct buf text = BUF(1 << 20);
    struct str s;

    while (n--)
        buf_add(&text, str_of(character));
    s = arena_str(a, buf_str(&text));
    buf_release(&text);
    return s;
}

#define FRESH   "需要最新信息，使用云端模型"
#define SIMPLE  "简单任务，本地模型处理"
#define COMPLEX "复杂任务，使用云端大模型"
#define OTHER   "低置信度任务，云端模型处理"

/* Long enough that no length speaks for it. */
#define PLAIN "One two three four five six "

TEST(each_word_has_its_rule)
{
    static const struct {
        const char *words, *name, *reason;
        bool        is_cloud;
    } rows[] = {
        { "最新 今天 现在 新闻 天气 股价 汇率", "news", FRESH, true },
        { "你好 谢谢 再见 问好 是吗 对吗", "simple", SIMPLE, false },
        { "请详细 分析 解释 设计 制定 规划 代码 程序 算法 架构 系统 方案 写一个 帮我写 创建 开发 "
          "实现 教程",
          "complex", COMPLEX, true },
        { "别的 word 😀", "other", OTHER, true },
    };
    struct routing_settings none = { .rules = { NULL, 0 } };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str rest = str_of(rows[i].words), word;

        while (str_next(&rest, ' ', &word)) {
            struct buf                 text = BUF(1000);
            const struct routing_rule *r;

            buf_lit(&text, PLAIN);
            buf_add(&text, word);
            r = routing_rule_for(&none, buf_str(&text));
            check_text(r->name, rows[i].name);
            check_text(r->reason, rows[i].reason);
            assert_int_equal(r->is_cloud, rows[i].is_cloud);
            buf_release(&text);
        }
    }
}

TEST(the_order_of_the_rules_decides)
{
    static const struct {
        const char *text, *name;
    } rows[] = {
        { "你好，今天怎么样", "news" },
        { "你好，请详细分析一下这个系统的架构设计方案", "simple" },
        { "代码", "simple" }, /* it is short                    */
        { "", "simple" },
    };
    struct routing_settings none = { .rules = { NULL, 0 } };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_text(routing_rule_for(&none, str_of(rows[i].text))->name, rows[i].name);
}

/* Characters, whatever bytes they take. */
TEST(lengths_have_their_borders)
{
    static const char *const characters[] = { "a", "é", "字", "😀" };
    static const struct {
        size_t      n;
        const char *name;
    } rows[] = { { 19, "simple" }, { 20, "other" }, { 200, "other" }, { 201, "complex" } };
    struct routing_settings none = { .rules = { NULL, 0 } };
    struct arena            a = { NULL };

    for (size_t i = 0; i < COUNT(characters); i++)
        for (size_t j = 0; j < COUNT(rows); j++)
            check_text(routing_rule_for(&none, repeated(&a, characters[i], rows[j].n))->name,
                       rows[j].name);
    arena_release(&a);
}

#define PROVIDERS "providers: [{name: e, kind: echo}, {name: f, kind: echo}]\n"
#define LOCAL     "- {name: near, class: local_small, targets: [{provider: e}]}\n"
#define CLOUD     "- {name: far, class: cloud_large, targets: [{provider: f, weight: 3}]}\n"

static struct routed choose(const char *text, enum routing_side side, const char *name,
                            struct arena *a)
{
    struct routing_wish w = { .text = str_of(text), .side = side, .model = str_of(name) };
    struct routed       r;

    assert_true(routing_choose(&w, a, &r));
    return r;
}

TEST(either_side_stands_in_for_the_other)
{
    struct arena  a = { NULL };
    struct routed r;

    offer(PROVIDERS "models:\n" LOCAL CLOUD);
    r = choose("谢谢", ROUTING_ANY, "", &a);
    check_str(offer_name(r.model), "near");
    check_str(r.reason, SIMPLE);
    assert_int_equal(r.side, ROUTING_LOCAL);
    assert_int_equal(r.model->n_targets, 2);
    assert_null(r.model->targets[0].stands_in);
    check_str(r.model->targets[1].stands_in->name, "far");
    assert_int_equal(r.model->targets[1].weight, 0);
    r = choose("天气", ROUTING_ANY, "", &a);
    check_str(offer_name(r.model), "far");
    assert_int_equal(r.model->targets[0].weight, 3);
    check_str(r.model->targets[1].stands_in->name, "near");
    assert_true(routing_is_offered());
    arena_release(&a);
    offer_withdraw();
}

TEST(what_is_asked_for_goes_before_the_rules)
{
    struct arena  a = { NULL };
    struct routed r;

    offer(PROVIDERS "models:\n" LOCAL CLOUD
                    "- {name: other, class: cloud_small, targets: [{provider: e}]}\n");
    r = choose("天气", ROUTING_LOCAL, "", &a);
    check_str(offer_name(r.model), "near");
    assert_int_equal(r.why, ROUTING_BY_SIDE);
    r = choose("谢谢", ROUTING_CLOUD, "", &a);
    check_str(offer_name(r.model), "far");
    r = choose("谢谢", ROUTING_LOCAL, "other", &a);
    check_str(offer_name(r.model), "other");
    assert_int_equal(r.why, ROUTING_BY_NAME);
    assert_int_equal(r.side, ROUTING_CLOUD);
    check_str(r.model->targets[1].stands_in->name, "near");
    r = choose("谢谢", ROUTING_ANY, "nobody", &a);
    check_str(offer_name(r.model), "near");
    assert_int_equal(r.why, ROUTING_BY_RULE);
    arena_release(&a);
    offer_withdraw();
}

TEST(one_side_alone_answers_everything)
{
    struct arena  a = { NULL };
    struct routed r;

    offer(PROVIDERS "models:\n" LOCAL);
    r = choose("天气", ROUTING_ANY, "", &a);
    check_str(offer_name(r.model), "near");
    assert_int_equal(r.why, ROUTING_INSTEAD);
    assert_int_equal(r.side, ROUTING_LOCAL);
    assert_int_equal(r.model->n_targets, 1);
    assert_false(routing_is_offered());
    arena_release(&a);
    offer_withdraw();
}

static bool only_far(const void *who, struct str model)
{
    (void)who;
    return str_eq(model, STR("far"));
}

static bool none_at_all(const void *who, struct str model)
{
    (void)who;
    (void)model;
    return false;
}

TEST(what_may_not_be_used_does_not_even_stand_in)
{
    struct routing_wish w = { .text = STR("谢谢"), .may_use = only_far };
    struct arena        a = { NULL };
    struct routed       r;

    offer(PROVIDERS "models:\n" LOCAL CLOUD);
    assert_true(routing_choose(&w, &a, &r));
    check_str(offer_name(r.model), "far");
    assert_int_equal(r.model->n_targets, 1);
    w.model = STR("near");
    assert_true(routing_choose(&w, &a, &r));
    check_str(offer_name(r.model), "far");
    w.may_use = none_at_all;
    assert_false(routing_choose(&w, &a, &r));
    arena_release(&a);
    offer_withdraw();
}

TEST(the_settings_name_the_two_models_and_the_rules)
{
    struct arena  a = { NULL };
    struct routed r;

    offer(PROVIDERS "models:\n" LOCAL CLOUD
                    "- {name: mine, class: cloud_small, targets: [{provider: e}]}\n"
                    "dialects: {assistant: {local_model: mine}}\n"
                    "routing:\n  rules:\n"
                    "  - {name: loud, keywords: ['!'], class: cloud_large, reason: it is loud}\n"
                    "  - {name: long, longer_than: 5, class: cloud_large}\n"
                    "  - {name: rest, class: local_small}\n");
    r = choose("a!", ROUTING_ANY, "", &a);
    check_str(offer_name(r.model), "far");
    check_str(r.reason, "it is loud");
    check_str(offer_name(choose("12345", ROUTING_ANY, "", &a).model), "mine");
    check_str(offer_name(choose("123456", ROUTING_ANY, "", &a).model), "far");
    arena_release(&a);
    offer_withdraw();
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_word_has_its_rule),
        cmocka_unit_test(the_order_of_the_rules_decides),
        cmocka_unit_test(lengths_have_their_borders),
        cmocka_unit_test(either_side_stands_in_for_the_other),
        cmocka_unit_test(what_is_asked_for_goes_before_the_rules),
        cmocka_unit_test(one_side_alone_answers_everything),
        cmocka_unit_test(what_may_not_be_used_does_not_even_stand_in),
        cmocka_unit_test(the_settings_name_the_two_models_and_the_rules),
    };

    return cmocka_run_group_tests(tests, check_scratch_begin, check_scratch_end);
}
