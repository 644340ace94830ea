#include "wire/jwt.h"

#include "wire/base64.h"

#include <string.h>

static const double last_second = 253402300799;               /* of the year 9999 */

struct parts {
    struct str head, claims, signature;       /* in base64                      */
    struct str signed_text;                   /* the first two, with their dot  */
};

static struct str tenant_claim(struct str name)
{
    return name.n ? name : STR("tenant");
}

const char *jwt_verdict_text(enum jwt_verdict v)
{
#define JWT_TEXT(name, text) [name] = text,
    static const char *const texts[] = { JWT_VERDICTS(JWT_TEXT) };
#undef JWT_TEXT

    return texts[v];
}

/* ---- taking it apart ------------------------------------------------------- */

static bool split(struct str token, struct parts *p)
{
    const char *first, *last;

    if (!token.n || token.n > JWT_MAX_BYTES)
        return false;
    first = memchr(token.p, '.', token.n);
    last = memrchr(token.p, '.', token.n);
    if (!first || memchr(first + 1, '.', token.n - (size_t)(first + 1 - token.p)) != last)
        return false;
    p->head = (struct str){ token.p, (size_t)(first - token.p) };
    p->claims = (struct str){ first + 1, (size_t)(last - first) - 1 };
    p->signed_text = (struct str){ token.p, (size_t)(last - token.p) };
    p->signature = str_from(token, p->signed_text.n + 1);
    return p->head.n <= JWT_HEAD_MAX_BYTES;   /* looking for twins in more takes its time */
}

/* NULL unless the part is an object. */
static struct json_doc *read_object(struct str part)
{
    struct buf       text = BUF(JWT_MAX_BYTES);
    struct json_doc *doc = NULL;
    const char      *why;

    if (base64url_decode(part, &text))
        doc = json_read(buf_str(&text), &why);
    buf_release(&text);
    if (doc && json_type(json_root(doc)) != JSON_OBJECT) {
        json_free(doc);
        doc = NULL;
    }
    return doc;
}

/* Null or not. */
static bool has_member(const struct json *object, struct str wanted)
{
    struct json_members m = json_members(object);
    const struct json  *v;
    struct str          name;

    while (json_members_next(&m, &name, &v))
        if (str_eq(name, wanted))
            return true;
    return false;
}

/* False if it is there and no text. */
static bool read_text(const struct json *object, struct str name, struct str *out)
{
    const struct json *v = json_get_n(object, name);

    *out = json_str(v);
    return !v || json_type(v) == JSON_STRING;
}

/* ---- the header ------------------------------------------------------------ */

/* Explicit types keep a token for one purpose from being used for another (RFC 8725, 3.11). */
static bool is_our_kind(struct str type, struct str wanted)
{
    struct str prefix = STR("application/");

    if (type.n > prefix.n && str_eq_nocase((struct str){ type.p, prefix.n }, prefix))
        type = str_from(type, prefix.n);
    if (wanted.n)
        return str_eq_nocase(type, wanted);
    return !type.n || str_eq_nocase(type, STR("JWT")) || str_eq_nocase(type, STR("at+jwt"));
}

static bool has_key_named(const struct jwt_rules *rules, struct str name)
{
    for (size_t i = 0; i < rules->n_keys; i++)
        if (str_eq(jwt_key_name(rules->keys[i]), name))
            return true;
    return false;
}

static bool read_alg(const struct jwt_rules *rules, struct str text, enum jwt_alg *alg)
{
    for (size_t i = 0; i < rules->n_keys; i++) {
        *alg = jwt_key_alg(rules->keys[i]);
        if (str_eq(jwt_alg_name(*alg), text))
            return true;
    }
    return false;
}

/* A token that names no key may be of any; one that names a key we have, of that one only. */
static enum jwt_verdict try_keys(const struct jwt_rules *rules, enum jwt_alg alg, struct str name,
                                 const struct parts *p)
{
    struct buf       signature = BUF(JWT_MAX_BYTES);
    struct str       wanted = has_key_named(rules, name) ? name : STR("");
    enum jwt_verdict v = JWT_NO_KEY;

    if (!base64url_decode(p->signature, &signature))
        v = JWT_MALFORMED;
    for (size_t i = 0; i < rules->n_keys && v != JWT_GOOD && v != JWT_MALFORMED; i++) {
        const struct jwt_key *k = rules->keys[i];

        if (jwt_key_alg(k) != alg || (name.n && !str_eq(jwt_key_name(k), wanted)))
            continue;
        v = jwt_key_has_signed(k, p->signed_text, buf_str(&signature)) ? JWT_GOOD : JWT_SIGNATURE;
    }
    buf_release(&signature);
    return v;
}

static enum jwt_verdict check_header(const struct jwt_rules *rules, const struct json *head,
                                     const struct parts *p)
{
    struct str   type, name;
    enum jwt_alg alg;

    if (has_member(head, STR("crit")) || has_member(head, STR("b64")))
        return JWT_DEMANDING;
    if (!read_alg(rules, json_str(json_get(head, "alg")), &alg))
        return JWT_ALGORITHM;
    if (!read_text(head, STR("typ"), &type) || !read_text(head, STR("kid"), &name))
        return JWT_MALFORMED;
    if (!is_our_kind(type, rules->type))
        return JWT_WRONG_KIND;
    return try_keys(rules, alg, name, p);
}

static enum jwt_verdict check_signature(const struct jwt_rules *rules, const struct parts *p)
{
    struct json_doc *head = read_object(p->head);
    enum jwt_verdict v = head ? check_header(rules, json_root(head), p) : JWT_MALFORMED;

    json_free(head);
    return v;
}

/* ---- the claims ------------------------------------------------------------ */

/* *at stays as it is when there is no such claim. */
static bool read_time(const struct json *claims, const char *name, double *at)
{
    const struct json *v = json_get(claims, name);

    return !v || (json_number(v, at) && *at >= 0 && *at <= last_second);
}

static enum jwt_verdict check_times(const struct json *claims, double now, double leeway)
{
    double exp = -1, nbf = 0, iat = 0;

    if (!read_time(claims, "exp", &exp) || !read_time(claims, "nbf", &nbf) ||
        !read_time(claims, "iat", &iat))
        return JWT_ODD_CLAIM;
    if (exp < 0)
        return JWT_NO_EXPIRY;
    if (now >= exp + leeway)
        return JWT_EXPIRED;
    return nbf > now + leeway || iat > now + leeway ? JWT_TOO_EARLY : JWT_GOOD;
}

/* One text, or an array of them. */
static enum jwt_verdict check_audience(const struct json *aud, struct str wanted)
{
    struct json_walk   w = json_walk(aud);
    bool               found = !wanted.n || (aud && str_eq(json_str(aud), wanted));
    const struct json *v;

    if (aud && json_type(aud) != JSON_STRING && json_type(aud) != JSON_ARRAY)
        return JWT_ODD_CLAIM;
    while ((v = json_walk_next(&w))) {
        if (json_type(v) != JSON_STRING)
            return JWT_ODD_CLAIM;
        found = found || str_eq(json_str(v), wanted);
    }
    return found ? JWT_GOOD : JWT_AUDIENCE;
}

static enum jwt_verdict check_claims(const struct jwt_rules *rules, const struct json *claims,
                                     int64_t now, struct jwt *out)
{
    enum jwt_verdict v = check_times(claims, (double)now, (double)rules->leeway);
    struct str       issuer;

    if (v != JWT_GOOD)
        return v;
    if (!read_text(claims, STR("iss"), &issuer) || !read_text(claims, STR("sub"), &out->subject) ||
        !read_text(claims, tenant_claim(rules->tenant_claim), &out->tenant))
        return JWT_ODD_CLAIM;
    if (rules->issuer.n && !str_eq(issuer, rules->issuer))
        return JWT_ISSUER;
    v = check_audience(json_get(claims, "aud"), rules->audience);
    if (v != JWT_GOOD)
        return v;
    return out->subject.n ? JWT_GOOD : JWT_NO_SUBJECT;
}

enum jwt_verdict jwt_check(const struct jwt_rules *rules, struct str token, int64_t now,
                           struct jwt *out)
{
    struct parts     p;
    enum jwt_verdict v;

    *out = (struct jwt){ .claims = NULL };
    if (!split(token, &p))
        return JWT_MALFORMED;
    v = check_signature(rules, &p);           /* before anything in it is read  */
    if (v != JWT_GOOD)
        return v;
    out->claims = read_object(p.claims);
    v = out->claims ? check_claims(rules, json_root(out->claims), now, out) : JWT_MALFORMED;
    if (v != JWT_GOOD)
        jwt_release(out);
    return v;
}

void jwt_release(struct jwt *j)
{
    json_free(j->claims);
    *j = (struct jwt){ .claims = NULL };
}

/* ---- writing one ----------------------------------------------------------- */

static void add_text(struct buf *b, struct str name, struct str value)
{
    if (!value.n)
        return;
    buf_add_char(b, b->n ? ',' : '{');
    json_add_str(b, name);
    buf_add_char(b, ':');
    json_add_str(b, value);
}

static void add_encoded(struct buf *text, struct buf *out)
{
    base64url_encode(buf_str(text), out);
    out->over = out->over || text->over;
    buf_release(text);
}

static void add_head(const struct jwt_key *key, struct str type, struct buf *out)
{
    struct buf text = BUF(JWT_MAX_BYTES);

    add_text(&text, STR("alg"), jwt_alg_name(jwt_key_alg(key)));
    add_text(&text, STR("typ"), type.n ? type : STR("JWT"));
    add_text(&text, STR("kid"), jwt_key_name(key));
    buf_lit(&text, "}");
    add_encoded(&text, out);
}

static void add_claims(const struct jwt_claims *c, struct buf *out)
{
    struct buf text = BUF(JWT_MAX_BYTES);

    add_text(&text, STR("iss"), c->issuer);
    add_text(&text, STR("aud"), c->audience);
    add_text(&text, STR("sub"), c->subject);
    add_text(&text, tenant_claim(c->tenant_claim), c->tenant);
    add_text(&text, STR("jti"), c->id);
    buf_addf(&text, "%c\"iat\":%lld,\"exp\":%lld}", text.n ? ',' : '{', (long long)c->issued,
             (long long)c->expires);
    add_encoded(&text, out);
}

void jwt_sign(const struct jwt_key *key, const struct jwt_claims *claims, struct buf *out)
{
    struct buf token = BUF(JWT_MAX_BYTES), signature = BUF(JWT_MAX_BYTES);

    add_head(key, claims->type, &token);
    buf_lit(&token, ".");
    add_claims(claims, &token);
    jwt_key_sign(key, buf_str(&token), &signature);
    buf_lit(&token, ".");
    add_encoded(&signature, &token);
    if (token.over)
        out->over = true;
    else
        buf_add(out, buf_str(&token));
    buf_release(&token);
}
