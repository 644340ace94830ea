#include "turn/bill.h"

#include "base/clock.h"
#include "chat/context.h"
#include "provider/catalog.h"

enum {
    BYTES_PER_TOKEN = 4,                      /* of an answer: its scripts are not known */
    MILLION = 1000000,
    TOKENS_MAX = 1000000000,                  /* more is not believed of anybody */
};
static const uint64_t MONEY_MAX = INT64_MAX / 2; /* two of them are no overflow */

static struct store *store;

void bill_use_store(struct store *s)
{
    store = s;
}

static uint64_t tokens_of(uint64_t bytes)
{
    return (bytes + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}

static uint64_t tokens_of_question(const struct question *q)
{
    uint64_t tokens = 0;

    for (size_t i = 0; i < q->n_messages; i++)
        tokens += context_message_tokens(&q->messages[i]);
    return tokens;
}

/* Clients say how long an answer may be, and providers how long it was. */
static uint64_t believed(uint64_t tokens)
{
    return tokens < TOKENS_MAX ? tokens : TOKENS_MAX;
}

static uint64_t cost(uint64_t tokens, uint64_t price)
{
    return price && tokens > MONEY_MAX / price ? MONEY_MAX : tokens * price;
}

/* Millionths; what is begun is paid. */
static uint64_t money_for(const struct model *m, uint64_t prompt, uint64_t completion)
{
    return (cost(prompt, m->prompt_price) + cost(completion, m->completion_price) + MILLION - 1) /
           MILLION;
}

void bill_begin(struct bill *b, const struct asker *asker, const struct question *q,
                const struct model *model, struct str turn)
{
    b->asker = (struct payer){ asker->tenant, asker->key, asker->account, asker->is_limited };
    b->model = model;
    b->turn = turn;
    b->prompt = tokens_of_question(q);
    b->is_open = store != NULL;
}

/* ---- reserve --------------------------------------------------------------------------- */

static enum fault fault_of(const struct budget_call *c)
{
    static const enum fault faults[] = {
        [BUDGET_FREE] = FAULT_NONE,           [BUDGET_REQUESTS] = FAULT_RATE_LIMITED,
        [BUDGET_TOKENS] = FAULT_RATE_LIMITED, [BUDGET_STREAMS] = FAULT_TOO_MANY_AT_ONCE,
        [BUDGET_DAY_TOKENS] = FAULT_USED_UP,  [BUDGET_DAY_MONEY] = FAULT_USED_UP,
    };

    return c->verb.end == STORE_OK ? faults[c->limit] : FAULT_NO_DATABASE;
}

static void on_reserved(struct verb *v)
{
    struct bill *b = LIST_OWNER(v, struct bill, call.verb);
    enum fault   fault = fault_of(&b->call);

    b->was_refused = fault != FAULT_NONE;
    if (fault && b->call.verb.end != STORE_UNKNOWN)
        b->is_open = false;                   /* there is nothing to settle     */
    b->told(b, fault);
}

void bill_reserve(struct bill *b, const struct question *q, uint64_t answer, uint64_t max_time,
                  void (*told)(struct bill *b, enum fault fault))
{
    uint64_t     completion = believed(q->max_tokens ? q->max_tokens : answer);
    struct asker asker = { .tenant = b->asker.tenant,
                           .key = b->asker.key,
                           .account = b->asker.account,
                           .is_limited = b->asker.is_limited };

    if (!store || !b->asker.is_limited) {
        told(b, FAULT_NONE);
        return;
    }
    b->told = told;
    b->call.verb.done = on_reserved;
    budget_reserve(store, &b->call,
                   &(struct budget_ask){ .asker = &asker,
                                         .turn = b->turn,
                                         .tokens = b->prompt + completion,
                                         .money = money_for(b->model, b->prompt, completion),
                                         .seconds = max_time / CLOCK_S + 1 });
}

/* A reservation that was under way may have been made: it is settled like any other. */
void bill_drop(struct bill *b)
{
    verb_drop(&b->call.verb);
}

void bill_add_unheard(struct bill *b, uint64_t prompt, uint64_t completion)
{
    b->prompt += prompt;
    b->unheard += completion;
}

void bill_hand_back(struct bill *b, bool was_reserved)
{
    b->was_refused = true;
    b->is_open = b->is_open && was_reserved && b->asker.is_limited;
}

/* ---- settle ---------------------------------------------------------------------------- */

void bill_settle(struct bill *b, const struct tally *tally, bool is_failure)
{
    struct usage usage = { believed(tally->usage.prompt), believed(tally->usage.completion) };
    bool is_estimated = !usage.prompt && !usage.completion && (tally->events > 0 || b->unheard > 0);

    verb_drop(&b->call.verb);
    if (!b->is_open)
        return;
    if (is_estimated)
        usage = (struct usage){ b->prompt, tokens_of(tally->text_bytes) + b->unheard };
    budget_settle(
        store, &(struct budget_bill){ .tenant = b->asker.tenant,
                                      .key = b->asker.key,
                                      .account = b->asker.account,
                                      .turn = b->turn,
                                      .model = offer_name(b->model),
                                      .usage = usage,
                                      .money = money_for(b->model, usage.prompt, usage.completion),
                                      .is_estimated = is_estimated,
                                      .is_failure = is_failure,
                                      .was_refused = b->was_refused });
    b->is_open = false;
}
