/* fuzz_jwt.c - any bytes as a token, and any header and claims behind a good signature.
 *
 * An input that begins with t is a token, judged by keys of all three algorithms. Nobody
 * can forge one by trying, so one that is good must be signed as one of the known ones is.
 * One that begins with s is a header, a mark (script.h) and claims, with maybe a kid's
 * name for the key behind one more; it is signed, and is then good exactly if a second
 * opinion, formed with yyjson alone, says so. */
#include "base/mem.h"
#include "wire/base64.h"
#include "wire/jwt.h"

#include "../unit/wire/jwt_vectors.h"
#include "script.h"

#include <string.h>
#include <yyjson.h>

enum { TEXT_MAX = 1 << 20, NOW = 1800000000, LEEWAY = 30 };

static const char issuer[] = "https://id.example/", audience[] = "runnel";

static struct jwt_key *make_key(enum jwt_alg alg, struct str name, const char *material)
{
    const char     *why = NULL;
    struct jwt_key *k = jwt_key_new(alg, name, str_of(material), &why);

    MUST_SAY(k, "%s", why);
    return k;
}

static enum jwt_verdict judge(const struct jwt_rules *rules, struct str token)
{
    struct jwt       out;
    enum jwt_verdict v = jwt_check(rules, token, NOW, &out);

    MUST((v == JWT_GOOD) == (out.claims != NULL) && (v == JWT_GOOD) == (out.subject.n > 0));
    MUST(*jwt_verdict_text(v));
    jwt_release(&out);
    MUST(!out.claims && !out.subject.n && !out.tenant.n);
    return v;
}

/* ---- any bytes ------------------------------------------------------------- */

static bool is_signed_like_a_known_one(struct str token)
{
    const char *end = memrchr(token.p, '.', token.n);
    struct str  text = { token.p, (size_t)(end - token.p) };

    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const char *token_end = strrchr(vectors[i].token, '.');

        if (str_eq(text, (struct str){ vectors[i].token, (size_t)(token_end - vectors[i].token) }))
            return true;
    }
    return false;
}

static void try_token(struct str token)
{
    static const struct jwt_key *keys[3];
    struct jwt_rules             rules = { .keys = keys, .n_keys = 3 };

    if (!keys[0]) {
        keys[0] = make_key(JWT_HS256, STR(""), vector_secret);
        keys[1] = make_key(JWT_RS256, STR(""), rsa_pem);
        keys[2] = make_key(JWT_ES256, STR(""), p256_pem);
    }
    if (judge(&rules, token) == JWT_GOOD)
        MUST_SAY(is_signed_like_a_known_one(token), "%.*s", STR_ARG(token));
}

/* ---- a second opinion ------------------------------------------------------ */

static bool is_absent(yyjson_val *v)
{
    return !v || yyjson_is_null(v);
}

static bool is_one_of(yyjson_val *v, const char *const *words)
{
    struct str text = { yyjson_get_str(v), yyjson_get_len(v) };

    for (; text.p && *words; words++)
        if (str_eq_nocase(text, str_of(*words)))
            return true;
    return text.p && !text.n;
}

static bool is_good_head(yyjson_val *head, struct str name)
{
    static const char *const kinds[] = { "jwt", "at+jwt", "application/jwt", "application/at+jwt",
                                         NULL };
    yyjson_val              *typ = yyjson_obj_get(head, "typ"), *kid = yyjson_obj_get(head, "kid");
    bool                     is_for_key = !name.n || is_absent(kid) || yyjson_get_len(kid) == 0 ||
                      yyjson_equals_strn(kid, name.p, name.n);

    return yyjson_equals_str(yyjson_obj_get(head, "alg"), "HS256") &&
           !yyjson_obj_get(head, "crit") && !yyjson_obj_get(head, "b64") &&
           (is_absent(typ) || is_one_of(typ, kinds)) && (is_absent(kid) || yyjson_is_str(kid)) &&
           is_for_key;
}

static bool is_good_time(yyjson_val *v, double latest)
{
    double at = yyjson_get_num(v);

    return is_absent(v) ||
           (yyjson_is_num(v) && at >= 0 && at < 253402300800.0 - 1e-4 && at <= latest);
}

static bool is_good_audience(yyjson_val *aud)
{
    size_t      at, max;
    yyjson_val *v;
    bool        found = false;

    yyjson_arr_foreach(aud, at, max, v) {
        if (!yyjson_is_str(v))
            return false;
        found = found || yyjson_equals_str(v, audience);
    }
    return found || yyjson_equals_str(aud, audience);
}

static bool are_good_claims(yyjson_val *claims)
{
    yyjson_val *exp = yyjson_obj_get(claims, "exp"), *sub = yyjson_obj_get(claims, "sub");
    yyjson_val *tenant = yyjson_obj_get(claims, "tenant");

    return yyjson_is_num(exp) && is_good_time(exp, 1e300) && yyjson_get_num(exp) + LEEWAY > NOW &&
           is_good_time(yyjson_obj_get(claims, "nbf"), NOW + LEEWAY) &&
           is_good_time(yyjson_obj_get(claims, "iat"), NOW + LEEWAY) &&
           yyjson_equals_str(yyjson_obj_get(claims, "iss"), issuer) && yyjson_is_str(sub) &&
           yyjson_get_len(sub) > 0 && (is_absent(tenant) || yyjson_is_str(tenant)) &&
           is_good_audience(yyjson_obj_get(claims, "aud"));
}

/* The same text, read strictly by us; what is JSON and what is ambiguous is fuzz_json's. */
static yyjson_doc *read_twice(struct str text)
{
    const char      *why;
    struct json_doc *strict = json_read(text, &why);
    yyjson_doc      *doc = strict ? yyjson_read(text.p, text.n, 0) : NULL;

    json_free(strict);
    return doc;
}

static bool second_opinion(struct str head, struct str claims, struct str name)
{
    yyjson_doc *h = read_twice(head), *c = read_twice(claims);
    bool        is_good = h && c && is_good_head(yyjson_doc_get_root(h), name) &&
                   are_good_claims(yyjson_doc_get_root(c));

    yyjson_doc_free(h);
    yyjson_doc_free(c);
    return is_good;
}

/* ---- signed ---------------------------------------------------------------- */

static void try_signed(struct str head, struct str claims, struct str name)
{
    struct jwt_key  *key = make_key(JWT_HS256, name, vector_secret);
    struct jwt_rules rules = { .keys = (const struct jwt_key *[]){ key },
                               .n_keys = 1,
                               .issuer = str_of(issuer),
                               .audience = str_of(audience),
                               .leeway = LEEWAY };
    struct buf       token = BUF(TEXT_MAX), signature = BUF(100);
    bool             is_good;

    base64url_encode(head, &token);
    buf_lit(&token, ".");
    base64url_encode(claims, &token);
    jwt_key_sign(key, buf_str(&token), &signature);
    buf_lit(&token, ".");
    base64url_encode(buf_str(&signature), &token);
    is_good = token.n <= JWT_MAX_BYTES && (head.n * 4 + 2) / 3 <= JWT_HEAD_MAX_BYTES &&
              second_opinion(head, claims, name);
    MUST_SAY((judge(&rules, buf_str(&token)) == JWT_GOOD) == is_good, "%.*s . %.*s", STR_ARG(head),
             STR_ARG(claims));
    if (token.n) {                            /* any other signature is refused  */
        token.p[token.n - 2] = token.p[token.n - 2] == 'A' ? 'B' : 'A';
        MUST(judge(&rules, buf_str(&token)) != JWT_GOOD);
    }
    buf_release(&token);
    buf_release(&signature);
    jwt_key_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = { (const char *)data, size }, parts[3] = { STR(""), STR(""), STR("") };
    size_t     before;
    char       mark;

    if (size == 0 || size > TEXT_MAX / 4)
        return 0;
    if (data[0] == 't')
        try_token(str_from(rest, 1));
    if (data[0] != 's')
        return 0;
    rest = str_from(rest, 1);
    for (size_t i = 0; i < 3 && script_next(&rest, &parts[i], &mark); i++)
        ;
    before = mem_live_bytes();
    try_signed(parts[0], parts[1], parts[2]);
    MUST_SAY(mem_live_bytes() == before, "memory is kept");
    return 0;
}
