#include "api/guard.h"

#include "api/guard_known.h"
#include "api/strangers.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    STALE_S = 60,                             /* believed while nobody can be asked */
    LEEWAY_S = 60,
    TOKEN_ID_LETTERS = 16,
};

struct visitor {
    struct link           link;
    struct http_exchange *x;
    struct known         *known;
};

static struct {
    const struct access_settings *settings;
    struct store                 *store;
    struct jwt_key               *key;
} guard;

static struct known nobody = { .asker = { .tenant = 1, .tenant_name = STR_INIT("default") },
                               .is_found = true };

/* ---- settings -------------------------------------------------------------------------- */

static bool is_open(void)
{
    return !guard.store && !guard.key && guard.settings->keys.n == 0;
}

bool guard_configure(const struct access_settings *a, struct store *store, const char **why)
{
    struct jwt_key *key = NULL;

    if (a->jwt_key.n && !(key = jwt_key_of_settings(a, why)))
        return false;
    guard_release();
    guard.settings = a;
    guard.store = store;
    guard.key = key;
    return true;
}

void guard_release(void)
{
    known_forget_all();
    jwt_key_free(guard.key);
    guard.key = NULL;
}

/* Nobody has made him. */
static void unuse(struct known *k)
{
    if (k != &nobody)
        known_unuse(k);
    else
        nobody.users--;
}

/* ---- visitors -------------------------------------------------------------------------- */

/* Who guesses is told to wait. What he shows is looked up all the same: behind his address there
 * may be others, who know what they show. */
static void refuse_stranger(struct http_exchange *x, const struct known *k)
{
    uint64_t most = guard.settings->max_failures;
    uint64_t wait = most ? strangers_note(str_of(x->client), most) : 0;
    char     fields[40];

    if (wait) {
        snprintf(fields, sizeof fields, "retry-after: %llu\r\n", (unsigned long long)wait);
        http_refuse(x, 429, "too many keys or tokens that are not known here came from there",
                    str_of(fields));
    } else {
        http_refuse(x, 401, k->why, STR("www-authenticate: Bearer\r\n"));
    }
}

static bool let_in(struct http_exchange *x, struct known *k)
{
    if (k->is_strange) {
        refuse_stranger(x, k);
    } else if (k->status) {
        http_refuse(x, k->status, k->why,
                    k->status == 401   ? STR("www-authenticate: Bearer\r\n")
                    : k->status == 503 ? STR("retry-after: 1\r\n")
                                       : STR(""));
    } else {
        k->users++;
        x->who = k;
    }
    return !k->status;
}

static void visitor_left(void *user)
{
    struct visitor *v = user;

    list_take(&v->known->visitors, &v->link);
    unuse(v->known);
    mem_free(v);
}

static bool wait_for(struct http_exchange *x, struct known *k)
{
    struct visitor *v = mem_new(sizeof *v);

    v->x = x;
    v->known = k;
    k->users++;
    list_push(&k->visitors, &v->link);
    http_hold(x);
    http_watch(x, visitor_left, NULL, v);
    return true;
}

static void tell_visitors(struct known *k)
{
    struct link *l;

    k->users++;                               /* while we look at it            */
    while ((l = list_pop(&k->visitors))) {
        struct visitor       *v = LIST_OWNER(l, struct visitor, link);
        struct http_exchange *x = v->x;

        mem_free(v);
        k->users--;
        http_watch(x, NULL, NULL, NULL);
        if (let_in(x, k))
            http_release(x);
    }
    unuse(k);
}

/* ---- looking up ------------------------------------------------------------------------- */

static const struct {
    int         status;
    const char *why;
} standings[] = {
    [ASKER_WELCOME] = { 0, "" },
    [ASKER_KEY_DISABLED] = { 401, "this API key was revoked" },
    [ASKER_KEY_EXPIRED] = { 401, "this API key has expired" },
    [ASKER_PENDING] = { 403, "this account waits for approval" },
    [ASKER_REJECTED] = { 403, "this account was not approved" },
    [ASKER_DISABLED] = { 403, "this account is disabled" },
};

static void keep_asker(struct known *k)
{
    arena_release(&k->arena);
    k->asker = k->call.asker;
    k->arena = k->call.verb.arena;            /* its texts are there            */
    k->call.verb.arena = (struct arena){ NULL };
    k->is_found = true;
    known_refuse(k, standings[k->asker.standing].status, standings[k->asker.standing].why);
}

static bool may_be_stale(const struct known *k)
{
    return k->is_found && clock_now() < k->until + STALE_S * CLOCK_S;
}

/* Nobody waits for a database of which we know that it is away. */
static bool is_believed(const struct known *k)
{
    return guard.store && !store_is_ready(guard.store) && may_be_stale(k);
}

static void on_answer(struct verb *v)
{
    struct known *k = LIST_OWNER(v, struct known, call.verb);
    uint64_t      until = clock_now() + guard.settings->cache;

    if (v->end == STORE_OK) {
        keep_asker(k);
        k->until = until;
    } else if (v->end == STORE_NOT_FOUND || v->end == STORE_REFUSED) {
        k->is_found = false;
        known_refuse(k, 401, "this API key or token is not known here");
        k->is_strange = true;
        k->until = until;
    } else if (!may_be_stale(k)) {
        known_refuse(k, 503, "it cannot be looked up at the moment who asks");
    }
    tell_visitors(k);
}

static struct str digest_of(const struct known *k)
{
    return (struct str){ (const char *)k->digest, SHA256_BYTES };
}

/* Settled without the database. */
static bool settle(struct known *k, int status, const char *why)
{
    known_refuse(k, status, why);
    k->is_found = status == 0;
    k->until = clock_now() + guard.settings->cache;
    return true;
}

static bool is_among(const struct known *k, const struct conf_texts *keys)
{
    unsigned char digest[SHA256_BYTES];

    for (size_t i = 0; i < keys->n; i++) {
        sha256(keys->items[i], digest);
        if (memcmp(digest, k->digest, SHA256_BYTES) == 0)     /* digests tell nothing of keys */
            return true;
    }
    return false;
}

static bool is_token(struct str shown)
{
    const char *dot = shown.n ? memchr(shown.p, '.', shown.n) : NULL;

    return guard.key && dot && memchr(dot + 1, '.', (size_t)(shown.p + shown.n - dot - 1));
}

static bool settle_strange(struct known *k, const char *why)
{
    k->is_strange = settle(k, 401, why);
    return true;
}

/* With a good signature it was one of ours, and who showed it has to learn why it is no more. */
static bool is_forged(enum jwt_verdict v)
{
    return v <= JWT_SIGNATURE;
}

enum jwt_verdict guard_read_token(struct str token, struct str type, struct jwt *out)
{
    const struct access_settings *a = guard.settings;
    const struct jwt_key         *keys[] = { guard.key };
    struct jwt_rules              rules = { .keys = keys,
                                            .n_keys = guard.key != NULL,
                                            .issuer = a->jwt_issuer,
                                            .audience = a->jwt_audience,
                                            .tenant_claim = a->jwt_tenant_claim,
                                            .type = type,
                                            .leeway = LEEWAY_S };

    return jwt_check(&rules, token, clock_wall_ms() / 1000, out);
}

bool guard_make_token(struct str type, struct str tenant, struct str subject, uint64_t lifetime,
                      struct buf *token)
{
    const struct access_settings *a = guard.settings;
    char                          id[TOKEN_ID_LETTERS + 1];
    struct jwt_claims             claims = { .type = type,
                                             .issuer = a->jwt_issuer,
                                             .audience = a->jwt_audience,
                                             .subject = subject,
                                             .id = { id, TOKEN_ID_LETTERS },
                                             .tenant_claim = a->jwt_tenant_claim,
                                             .tenant = tenant,
                                             .issued = clock_wall_ms() / 1000 };

    if (!guard.key || jwt_key_alg(guard.key) != JWT_HS256)
        return false;
    id_fill(id, TOKEN_ID_LETTERS);
    claims.expires = claims.issued + (int64_t)(lifetime / CLOCK_S);
    jwt_sign(guard.key, &claims, token);
    return !token->over;
}

/* True: it is settled. */
static bool look_up_token(struct known *k, struct str shown)
{
    const struct access_settings *a = guard.settings;
    struct jwt                    jwt;
    enum jwt_verdict              v = guard_read_token(shown, STR(""), &jwt);
    struct str                    tenant = jwt.tenant.n ? jwt.tenant : STR("default");
    char                          why[KNOWN_WORDS_MAX];

    if (v != JWT_GOOD) {
        snprintf(why, sizeof why, "the token %s", jwt_verdict_text(v));
        return is_forged(v) ? settle_strange(k, why) : settle(k, 401, why);
    }
    if (guard.store) {
        asker_by_subject(guard.store, &k->call, tenant, jwt.subject,
                         a->new_accounts == ACCESS_APPROVED);
    } else {
        k->asker = (struct asker){ .tenant = 1,
                                   .tenant_name = STR("default"),
                                   .subject = arena_str(&k->arena, jwt.subject) };
        settle(k, str_eq(tenant, STR("default")) ? 0 : 401, "the token is for another tenant");
    }
    jwt_release(&jwt);
    return !guard.store;
}

/* True: it is settled. */
static bool look_up(struct known *k, struct str shown)
{
    k->call.verb.done = on_answer;
    if (is_among(k, &guard.settings->keys)) {
        k->asker = (struct asker){ .tenant = 1, .tenant_name = STR("default") };
        return settle(k, 0, "");
    }
    if (is_token(shown))
        return look_up_token(k, shown);
    if (!guard.store)
        return settle_strange(k, "this API key is not known here");
    asker_by_key(guard.store, &k->call, digest_of(k));
    return false;
}

/* ---- the request ------------------------------------------------------------------------ */

static struct str shown_by(const struct http_reader *rq)
{
    struct str value = http_reader_header(rq, STR("authorization"));
    struct str scheme = { value.p, value.n < 7 ? value.n : 7 };

    return str_eq_nocase(scheme, STR("bearer ")) ? str_trim(str_from(value, 7)) : STR("");
}

const char guard_wants_key[] = "an API key is needed: send Authorization: Bearer and the key";
const char guard_wants_bearer[] =
    "an API key is shown in another way: send Authorization: Bearer and the key";

static bool refuse(struct http_exchange *x, const char *why)
{
    http_refuse(x, 401, why, STR("www-authenticate: Bearer\r\n"));
    return false;
}

static bool check_shown(struct http_exchange *x, const struct http_reader *rq, struct str shown)
{
    unsigned char digest[SHA256_BYTES];
    struct known *k;

    if (is_open())
        return let_in(x, &nobody);
    if (http_reader_count(rq, STR("authorization")) > 1)
        return refuse(x, "an API key or a token is shown once: there are two Authorization fields");
    if (!shown.n)
        return refuse(x, http_reader_count(rq, STR("authorization")) ? guard_wants_bearer
                                                                     : guard_wants_key);
    sha256(shown, digest);
    k = known_find(digest);
    if (k && k->call.verb.work)
        return wait_for(x, k);
    if (!k)
        k = known_new(digest);
    if (clock_now() < k->until || is_believed(k) || look_up(k, shown))
        return let_in(x, k);
    return wait_for(x, k);
}

bool guard_check(struct http_exchange *x, const struct http_reader *rq)
{
    return check_shown(x, rq, shown_by(rq));
}

/* "bearer.<key>" among the subprotocols that are offered; empty: there is none. */
static struct str shown_as_protocol(const struct http_reader *rq)
{
    struct str name = STR("sec-websocket-protocol"), prefix = STR("bearer."), list, one;

    for (size_t i = 0; i < http_reader_count(rq, name); i++) {
        list = http_reader_nth(rq, name, i);
        while (str_next(&list, ',', &one))
            if (str_starts(str_trim(one), prefix))
                return str_from(str_trim(one), prefix.n);
    }
    return STR("");
}

bool guard_check_socket(struct http_exchange *x, const struct http_reader *rq)
{
    struct str   shown = shown_by(rq);
    struct arena a = { NULL };
    bool         may;

    if (!http_reader_count(rq, STR("authorization")))
        shown = shown_as_protocol(rq);
    if (!http_reader_count(rq, STR("authorization")) && !shown.n &&
        http_query_get(rq->target.query, STR("token"), &a, &shown) != HTTP_QUERY_FOUND)
        shown = STR("");
    may = check_shown(x, rq, shown);
    arena_release(&a);
    return may;
}

static void look_again(struct known *k)
{
    bool approves = guard.settings->new_accounts == ACCESS_APPROVED;

    k->call.verb.done = on_answer;
    if (k->asker.key)
        asker_by_key(guard.store, &k->call, digest_of(k));
    else
        asker_by_subject(guard.store, &k->call, k->asker.tenant_name, k->asker.subject, approves);
}

bool guard_is_welcome(const struct http_exchange *x)
{
    struct known *k = x->who;

    if (k == &nobody)
        return true;
    if (!k->asker.key && !k->asker.subject.n)
        return is_among(k, &guard.settings->keys);
    if (guard.store && k->is_found && clock_now() >= k->until && !k->call.verb.work)
        look_again(k);
    return !k->status;
}

bool guard_check_door(struct http_exchange *x, const struct http_reader *rq,
                      const struct conf_texts *keys)
{
    struct known *k = mem_new(sizeof *k);

    sha256(shown_by(rq), k->digest);
    k->asker = (struct asker){ .tenant = 1, .tenant_name = STR("default") };
    if (!is_among(k, keys))
        known_refuse(k, 401, "an API key of this door is needed");
    k->is_strange = k->status && shown_by(rq).n;
    if (let_in(x, k))
        return true;
    arena_release(&k->arena);
    mem_free(k);
    return false;
}

const struct asker *guard_asker(const struct http_exchange *x)
{
    const struct known *k = x->who;

    return &k->asker;
}

void guard_forget(const struct http_exchange *x)
{
    struct known *k = x->who;

    if (k)
        unuse(k);
}

/* A key of the settings has no number, but a digest, and a part of that tells nothing of it. */
static struct str owner_of_key(const struct known *k, struct arena *a)
{
    char text[40];

    if (k->asker.key)
        snprintf(text, sizeof text, "key:%lld", (long long)k->asker.key);
    else
        snprintf(text, sizeof text, "key:%02x%02x%02x%02x%02x%02x%02x%02x", k->digest[0],
                 k->digest[1], k->digest[2], k->digest[3], k->digest[4], k->digest[5], k->digest[6],
                 k->digest[7]);
    return arena_str(a, str_of(text));
}

/* A copy, as what is known of an asker is replaced when he is looked up again. */
struct str guard_owner(const struct http_exchange *x, struct arena *a)
{
    const struct known *k = x->who;

    if (k == &nobody)
        return STR("");
    return k->asker.subject.n ? arena_str(a, k->asker.subject) : owner_of_key(k, a);
}

bool guard_may_use(const struct http_exchange *x, struct str model)
{
    const struct asker *a = guard_asker(x);
    struct str          rest = a->models, line;
    bool                may = !a->has_models;

    while (!may && str_next(&rest, '\n', &line))
        may = str_eq(line, model);
    return may;
}
