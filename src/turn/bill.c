#include "turn/bill.h"

#include "base/clock.h"
#include "base/mem.h"
#include "chat/context.h"
#include "provider/catalog.h"

enum {
    BYTES_PER_TOKEN = 4,                      /* of an answer: its scripts are not known */
    MILLION = 1000000,
    TOKENS_MAX = 1000000000,                  /* more is not believed of anybody */
};
static const uint64_t MONEY_MAX = INT64_MAX / 2; /* two of them are no overflow */

static const struct budget_call no_limits;
static struct store            *store;

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

static uint64_t completion_of(const struct question *q, uint64_t answer)
{
    return believed(q->max_tokens ? q->max_tokens : answer);
}

static struct asker asker_of(const struct payer *p)
{
    return (struct asker){
        .tenant = p->tenant, .key = p->key, .account = p->account, .is_limited = p->is_limited
    };
}

static uint64_t seconds_of(uint64_t max_time)
{
    return max_time / CLOCK_S + 1;
}

static bool is_limited(const struct bill *b)
{
    return store && b->asker.is_limited;
}

/* Thousands of turns live at once, and none of them is at this for long. */
struct reserving {
    struct budget_call call;
    struct bill       *bill;
    bill_told         *told;
    uint64_t           prompt;                /* of the round that is to begin  */
};

static struct budget_call *begin(struct bill *b, void (*done)(struct verb *v), bill_told *told)
{
    struct reserving *r = mem_new(sizeof *r);

    r->bill = b;
    r->told = told;
    r->call.verb.done = done;
    b->reserving = r;
    return &r->call;
}

/* A reservation that was under way may have been made: it is settled like any other. */
void bill_drop(struct bill *b)
{
    if (!b->reserving)
        return;
    verb_drop(&b->reserving->call.verb);
    mem_free(b->reserving);
    b->reserving = NULL;
}

static void on_reserved(struct verb *v)
{
    struct reserving *r = LIST_OWNER(v, struct reserving, call.verb);
    struct bill      *b = r->bill;
    enum fault        fault = fault_of(&r->call);

    b->was_refused = fault != FAULT_NONE;
    if (fault && v->end != STORE_UNKNOWN)
        b->is_open = false;                   /* there is nothing to settle     */
    r->told(b, fault, &r->call);
    bill_drop(b);
}

void bill_reserve(struct bill *b, const struct question *q, uint64_t answer, uint64_t max_time,
                  bill_told *told)
{
    uint64_t     completion = completion_of(q, answer);
    struct asker asker = asker_of(&b->asker);

    if (!is_limited(b)) {
        told(b, FAULT_NONE, &no_limits);
        return;
    }
    budget_reserve(store, begin(b, on_reserved, told),
                   &(struct budget_ask){ .asker = &asker,
                                         .turn = b->turn,
                                         .tokens = b->prompt + completion,
                                         .money = money_for(b->model, b->prompt, completion),
                                         .seconds = seconds_of(max_time) });
}

/* ---- what was used --------------------------------------------------------------------- */

static bool is_counted(struct usage u)
{
    return u.prompt || u.completion;
}

static void add_usage(struct bill *b, struct usage u)
{
    b->used.prompt += believed(u.prompt);
    b->used.completion += believed(u.completion);
}

/* Of a call that was cut off nobody has counted. */
void bill_call_over(struct bill *b, const struct tally *tally)
{
    struct usage counted = tally_usage_of_call(tally);
    struct usage ours = { b->prompt, tokens_of(tally->text_bytes - tally->text_before) };

    if (is_counted(counted)) {
        add_usage(b, counted);
    } else if (tally->events > tally->events_before) {
        add_usage(b, ours);
        b->is_estimated = true;
    }
    b->prompt = 0;
}

void bill_unheard_over(struct bill *b, const struct tally *tally, struct usage ours)
{
    struct usage counted = tally_usage_of_call(tally);

    add_usage(b, is_counted(counted) ? counted : ours);
    if (!is_counted(counted) && is_counted(ours))
        b->is_estimated = true;
}

/* ---- go on ----------------------------------------------------------------------------- */

static void on_round(struct verb *v)
{
    struct reserving *r = LIST_OWNER(v, struct reserving, call.verb);
    struct bill      *b = r->bill;
    enum fault        fault = fault_of(&r->call);

    if (!fault)
        b->prompt = r->prompt;
    r->told(b, fault, &r->call);
    bill_drop(b);
}

void bill_go_on(struct bill *b, const struct question *q, uint64_t answer, uint64_t max_time,
                bill_told *told)
{
    uint64_t            prompt = tokens_of_question(q), longest = completion_of(q, answer);
    struct usage        used = b->used;
    struct asker        asker = asker_of(&b->asker);
    struct budget_call *call;

    if (!is_limited(b)) {
        b->prompt = prompt;
        told(b, FAULT_NONE, &no_limits);
        return;
    }
    call = begin(b, on_round, told);
    b->reserving->prompt = prompt;
    budget_go_on(store, call,
                 &(struct budget_round){
                     .asker = &asker,
                     .turn = b->turn,
                     .used = used.prompt + used.completion,
                     .next = prompt + longest,
                     .money = money_for(b->model, used.prompt + prompt, used.completion + longest),
                     .seconds = seconds_of(max_time) });
}

void bill_hand_back(struct bill *b, bool was_reserved)
{
    b->was_refused = true;
    b->is_open = b->is_open && was_reserved && b->asker.is_limited;
}

/* ---- settle ---------------------------------------------------------------------------- */

void bill_settle(struct bill *b, const struct tally *tally, bool is_failure)
{
    if (!b->is_open)
        return;
    bill_call_over(b, tally);
    budget_settle(store, &(struct budget_bill){
                             .tenant = b->asker.tenant,
                             .key = b->asker.key,
                             .account = b->asker.account,
                             .turn = b->turn,
                             .model = offer_name(b->model),
                             .usage = b->used,
                             .money = money_for(b->model, b->used.prompt, b->used.completion),
                             .is_estimated = b->is_estimated,
                             .is_failure = is_failure,
                             .was_refused = b->was_refused });
    b->is_open = false;
}
