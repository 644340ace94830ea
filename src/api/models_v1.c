/* models_v1.c - GET /api/v1/models: one answer for two kinds of client, one of which reads data,
 * the other local_models and cloud_models. */
#include "api/api.h"
#include "api/guard.h"
#include "base/json.h"
#include "base/mem.h"
#include "turn/offer.h"

#include <stdlib.h>
#include <string.h>

enum { BODY_MAX = 16 << 20 };

static int by_name(const void *a, const void *b)
{
    struct str x = offer_name(*(const struct model *const *)a);
    struct str y = offer_name(*(const struct model *const *)b);
    int        order = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);

    return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* Those that he may use. */
static size_t find_models(const struct http_exchange *x, const struct model **models)
{
    size_t n = 0;

    for (size_t i = 0; i < offer_count(); i++)
        if (guard_may_use(x, offer_name(offer_at(i))))
            models[n++] = offer_at(i);
    if (n)
        qsort(models, n, sizeof *models, by_name);
    return n;
}

/* Everything that its reader expects there, as nobody can fine-tune anything here. */
static void add_model(const struct model *m, struct buf *out)
{
    long long created = (long long)offer_created();

    buf_lit(out, "{\"id\":");
    json_add_str(out, offer_name(m));
    buf_addf(out,
             ",\"object\":\"model\",\"created\":%lld,\"owned_by\":\"DB-GPT\",\"root\":", created);
    json_add_str(out, offer_name(m));
    buf_lit(out, ",\"parent\":null,\"permission\":[{\"id\":\"modelperm-");
    json_add_text(out, offer_name(m));
    buf_addf(out, "\",\"object\":\"model_permission\",\"created\":%lld,", created);
    buf_lit(out, "\"allow_create_engine\":false,\"allow_sampling\":true,\"allow_logprobs\":true,"
                 "\"allow_search_indices\":true,\"allow_view\":true,\"allow_fine_tuning\":false,"
                 "\"organization\":\"*\",\"group\":null,\"is_blocking\":false}]}");
}

static void add_names(const struct model *const *models, size_t n, bool is_small, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if ((offer_class(models[i]) == MODEL_LOCAL_SMALL) != is_small)
            continue;
        if (out->p[out->n - 1] != '[')
            buf_lit(out, ",");
        json_add_str(out, offer_name(models[i]));
    }
}

void models_serve(struct http_exchange *x, const struct http_reader *rq)
{
    const struct model **models = mem_new((offer_count() + 1) * sizeof *models);
    size_t               n = find_models(x, models);
    struct buf           body = BUF(BODY_MAX);

    (void)rq;
    buf_lit(&body, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < n; i++) {
        buf_add(&body, i ? STR(",") : STR(""));
        add_model(models[i], &body);
    }
    buf_lit(&body, "],\"local_models\":[");
    add_names(models, n, true, &body);
    buf_lit(&body, "],\"cloud_models\":[");
    add_names(models, n, false, &body);
    buf_lit(&body, "]}");
    api_answer_json(x, 200, buf_str(&body));
    buf_release(&body);
    mem_free(models);
}
