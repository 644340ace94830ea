#include "api/xcx_prompt.h"

#include "base/buf.h"

enum { PROMPT_LIMIT = 256 << 20 };

/* Of an answer that failed before its first word nothing is left to tell. */
static bool is_said(const struct kept_message *m)
{
    return m->content.n > 0;
}

static size_t count_said(const struct kept_message *messages, size_t n)
{
    size_t said = 0;

    for (size_t i = 0; i < n; i++)
        said += is_said(&messages[i]);
    return said;
}

static void add_history(struct buf *out, const struct kept_message *messages, size_t n)
{
    buf_lit(out, "[历史对话]\n");
    for (size_t i = 0; i < n; i++) {
        if (!is_said(&messages[i]))
            continue;
        buf_add(out, messages[i].role == KEPT_USER ? STR("用户: ") : STR("AI: "));
        buf_add(out, messages[i].content);
        buf_lit(out, "\n");
    }
    buf_lit(out, "\n[当前问题]\n");
}

static void add_page(struct buf *out, const struct xcx_page *page)
{
    buf_lit(out, "[页面上下文: ");
    buf_add(out, page->name);
    buf_lit(out, "]\n");
    buf_add(out, page->text);
    buf_lit(out, "\n\n");
}

void xcx_compose(struct question *q, void *page, const struct kept_message *messages, size_t n)
{
    const struct xcx_page *p = page;
    struct buf             prompt = BUF(PROMPT_LIMIT);

    if (p->text.n)
        add_page(&prompt, p);
    if (n > 1 && count_said(messages, n - 1))
        add_history(&prompt, messages, n - 1);
    if (n)
        buf_add(&prompt, messages[n - 1].content);
    q->messages[0].text = arena_str(&q->arena, buf_str(&prompt));
    buf_release(&prompt);
}
