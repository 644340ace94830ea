/* passing_source.c - hands one JSON document on as it came: embeddings. */
#include "base/json.h"
#include "base/mem.h"
#include "provider/source.h"

enum { DOCUMENT_MAX_BYTES = 16 << 20 };

struct source {
    struct teller *teller;
    struct buf     text;                      /* of one that does not say that it is JSON */
};

static struct source *passing_open(struct teller *t)
{
    struct source *s = mem_new(sizeof *s);

    s->teller = t;
    s->text = BUF(DOCUMENT_MAX_BYTES);
    return s;
}

static void passing_close(struct source *s)
{
    buf_release(&s->text);
    mem_free(s);
}

static void passing_feed(struct source *s, struct str bytes)
{
    buf_add(&s->text, bytes);
    if (s->text.over)
        teller_fail(s->teller, FAULT_GARBAGE, STR("the answer is too large"));
}

static void pass(struct source *s, const struct json *document, struct str text)
{
    const struct json *usage = json_get(document, "usage");

    if (json_type(document) != JSON_OBJECT) {
        teller_fail(s->teller, FAULT_GARBAGE, STR("the answer is no JSON object"));
    } else if (source_has_failed(document)) {
        teller_fail(s->teller, source_fault_of_refusal(0, document), source_error_words(document));
    } else {
        source_usage(s->teller, source_number(json_get(usage, "prompt_tokens")), 0);
        teller_text(s->teller, text);
        teller_finish(s->teller, FINISH_STOP);
    }
}

/* Read as strictly as a client would: it is handed on without being mended. */
static void passing_whole(struct source *s, struct str body)
{
    const char      *why;
    struct json_doc *doc = json_read(body, &why);

    if (doc)
        pass(s, json_root(doc), body);
    else
        teller_fail(s->teller, FAULT_GARBAGE, str_of(why));
    json_free(doc);
}

static void passing_end(struct source *s, bool cut)
{
    if (cut)
        teller_fail(s->teller, FAULT_CUT, STR("the connection was lost"));
    else
        passing_whole(s, buf_str(&s->text));
}

const struct source_ops passing_source = {
    .open = passing_open,
    .feed = passing_feed,
    .whole = passing_whole,
    .end = passing_end,
    .close = passing_close,
};
