#include "check.h"

#include "jwt_vectors.h"
#include "wire/base64.h"
#include "wire/jwt.h"

enum { TOKEN_MAX = 16 * 1024 };

static const int64_t now = 1800000000;

static struct jwt_key *secret_key, *rsa_key, *p256_key;

static struct jwt_key *make_key(enum jwt_alg alg, const char *name, const char *material)
{
    const char     *why;
    struct jwt_key *k = jwt_key_new(alg, str_of(name), str_of(material), &why);

    check_that(k, "%s: %s", material, why);
    return k;
}

static int make_keys(void **state)
{
    (void)state;
    secret_key = make_key(JWT_HS256, "", vector_secret);
    rsa_key = make_key(JWT_RS256, "", rsa_pem);
    p256_key = make_key(JWT_ES256, "", p256_pem);
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    jwt_key_free(secret_key);
    jwt_key_free(rsa_key);
    jwt_key_free(p256_key);
    jwt_key_free(NULL);
    return 0;
}

/* The token is a block of its own size; what is not good gives nothing and keeps nothing. */
static enum jwt_verdict judge_by(const struct jwt_rules *rules, struct str token, int64_t at)
{
    size_t           before = mem_live_bytes();
    char            *block = mem_resize(NULL, token.n ? token.n : 1);
    struct jwt       out;
    enum jwt_verdict v;

    if (token.n)
        memcpy(block, token.p, token.n);
    v = jwt_check(rules, (struct str){ block, token.n }, at, &out);
    assert_true((v == JWT_GOOD) == (out.claims != NULL));
    assert_true((v == JWT_GOOD) == (out.subject.n > 0));
    assert_true(v == JWT_GOOD || out.tenant.n == 0);
    jwt_release(&out);
    mem_free(block);
    assert_int_equal(mem_live_bytes(), before);
    return v;
}

static enum jwt_verdict judge(struct str token)
{
    const struct jwt_key *keys[] = { secret_key, rsa_key, p256_key };
    struct jwt_rules      rules = { .keys = keys, .n_keys = COUNT(keys) };

    return judge_by(&rules, token, now);
}

static enum jwt_verdict judge_with(const struct jwt_key *key, const char *token)
{
    struct jwt_rules rules = { .keys = &key, .n_keys = 1 };

    return judge_by(&rules, str_of(token), now);
}

#define check_verdict(got, want, ...)                                                              \
    do {                                                                                           \
        enum jwt_verdict v_ = (got);                                                               \
        if (v_ != (want)) {                                                                        \
            print_error(__VA_ARGS__);                                                              \
            fail_msg(": it %s", jwt_verdict_text(v_));                                             \
        }                                                                                          \
    } while (0)

/* Any header and any claims, with a signature that is right. */
static void write_token(const struct jwt_key *key, struct str head, struct str claims,
                        struct buf *out)
{
    struct buf signature = BUF(100);

    buf_clear(out);
    base64url_encode(head, out);
    buf_lit(out, ".");
    base64url_encode(claims, out);
    jwt_key_sign(key, buf_str(out), &signature);
    buf_lit(out, ".");
    base64url_encode(buf_str(&signature), out);
    buf_release(&signature);
}

static enum jwt_verdict judge_parts(const struct jwt_rules *rules, struct str head,
                                    struct str claims)
{
    struct buf       token = BUF(TOKEN_MAX);
    enum jwt_verdict v;

    write_token(rules->keys[0], head, claims, &token);
    v = judge_by(rules, buf_str(&token), now);
    buf_release(&token);
    return v;
}

#define HEAD   STR("{\"alg\":\"HS256\",\"typ\":\"JWT\"}")
#define CLAIMS STR("{\"sub\":\"ann\",\"exp\":2000000000}")

static const struct jwt_rules *plain_rules(void)
{
    static const struct jwt_key *keys[1];
    static struct jwt_rules      rules = { .keys = keys, .n_keys = 1 };

    keys[0] = secret_key;
    return &rules;
}

/* ---- tokens of others ------------------------------------------------------ */

/* The RFC's tokens name no subject. Claims are read only behind a good signature, so this
 * verdict says that it was one. */
TEST(the_rfcs_signatures_are_good)
{
    struct {
        const char  *token, *material;
        enum jwt_alg alg;
    } rows[] = {
        { rfc_hs256, rfc_secret, JWT_HS256 },
        { rfc_rs256, rfc_rsa_pem, JWT_RS256 },
        { rfc_es256, rfc_p256_pem, JWT_ES256 },
    };
    const int64_t expiry = 1300819380;

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct jwt_key       *k = make_key(rows[i].alg, "", rows[i].material);
        const struct jwt_key *keys[] = { k };
        struct jwt_rules      rules = { .keys = keys, .n_keys = 1, .issuer = STR("joe") };
        struct str            token = str_of(rows[i].token);

        check_verdict(judge_by(&rules, token, expiry - 1), JWT_NO_SUBJECT, "row %zu", i);
        check_verdict(judge_by(&rules, token, expiry), JWT_EXPIRED, "row %zu", i);
        rules.issuer = STR("jo");
        check_verdict(judge_by(&rules, token, expiry - 1), JWT_ISSUER, "row %zu", i);
        jwt_key_free(k);
    }
}

TEST(tokens_of_another_program_are_good_and_say_who_it_is)
{
    const struct jwt_key *keys[] = { p256_key, rsa_key, secret_key };
    struct jwt_rules      rules = { .keys = keys, .n_keys = COUNT(keys) };
    struct jwt            out;

    for (size_t i = 0; i < COUNT(vectors); i++) {
        enum jwt_verdict v = jwt_check(&rules, str_of(vectors[i].token), now, &out);

        check_verdict(v, JWT_GOOD, "vector %zu", i);
        check_text(out.subject, vectors[i].subject);
        check_text(out.tenant, vectors[i].tenant);
        jwt_release(&out);
    }
}

TEST(each_token_is_good_with_the_key_of_its_own_algorithm_only)
{
    for (size_t i = 0; i < COUNT(vectors); i++) {
        const struct jwt_key *keys[] = { secret_key, rsa_key, p256_key };

        for (size_t k = 0; k < COUNT(keys); k++)
            check_verdict(judge_with(keys[k], vectors[i].token),
                          jwt_key_alg(keys[k]) == vectors[i].alg ? JWT_GOOD : JWT_ALGORITHM,
                          "vector %zu, key %zu", i, k);
    }
}

TEST(another_key_of_the_same_algorithm_is_not_enough)
{
    struct jwt_key *others[] = {
        make_key(JWT_HS256, "", "vectors are signed with this secret?"),
        make_key(JWT_RS256, "", rfc_rsa_pem),
        make_key(JWT_ES256, "", rfc_p256_pem),
    };

    for (size_t i = 0; i < COUNT(vectors); i++)
        check_verdict(judge_with(others[vectors[i].alg], vectors[i].token), JWT_SIGNATURE,
                      "vector %zu", i);
    for (size_t i = 0; i < COUNT(others); i++)
        jwt_key_free(others[i]);
}

/* ---- five hundred of our own, as another program writes them ------------------ */

static struct str random_text(uint64_t *seed, const char *first, uint64_t most, struct buf *out)
{
    static const char *const pieces[] = { "a", "Z", "9",  "-",    "\"", "\\",
                                          "/", "é", "阿", "🙂", " ",  "\n" };

    buf_clear(out);
    buf_add(out, str_of(first));
    for (uint64_t n = check_random(seed) % most; n; n--)
        buf_add(out, str_of(pieces[check_random(seed) % COUNT(pieces)]));
    return buf_str(out);
}

static void check_own(const struct jwt_key *key, const struct jwt_claims *c, struct str token)
{
    struct jwt_rules rules = {
        .keys = &key, .n_keys = 1, .issuer = c->issuer, .audience = c->audience
    };
    struct jwt out;

    check_verdict(jwt_check(&rules, token, c->issued, &out), JWT_GOOD, "%.*s", STR_ARG(token));
    check_same(out.subject, c->subject);
    check_same(out.tenant, c->tenant);
    check_same(json_str(json_get(json_root(out.claims), "jti")), c->id);
    jwt_release(&out);
    check_verdict(jwt_check(&rules, token, c->expires, &out), JWT_EXPIRED, "%.*s", STR_ARG(token));
}

TEST(what_we_sign_is_what_another_program_would_and_is_good)
{
    uint64_t   seed = 1;
    struct buf texts[] = { BUF(1000), BUF(1000), BUF(1000), BUF(1000), BUF(1000) };
    struct buf token = BUF(TOKEN_MAX);
    char       secret[200];

    for (size_t i = 0; i < 500; i++) {
        struct jwt_claims c = { .id = STR("") };
        struct jwt_key   *key;
        const char       *why;
        size_t            n = 32 + check_random(&seed) % 100;

        for (size_t at = 0; at < n; at++)
            secret[at] = (char)check_random(&seed);
        c.issuer = random_text(&seed, "", 20, &texts[0]);
        c.audience = random_text(&seed, "", 20, &texts[1]);
        c.subject = random_text(&seed, "s", 40, &texts[2]);
        c.tenant = random_text(&seed, "", 10, &texts[3]);
        c.id = random_text(&seed, "", 10, &texts[4]);
        c.issued = (int64_t)(check_random(&seed) % 4000000000);
        c.expires = c.issued + 1 + (int64_t)(check_random(&seed) % 1000000);
        key = jwt_key_new(JWT_HS256, STR(""), (struct str){ secret, n }, &why);
        assert_non_null(key);
        buf_clear(&token);
        jwt_sign(key, &c, &token);
        check_same(str_from(buf_str(&token), token.n - 8), ((struct str){ hs256_ends + 8 * i, 8 }));
        check_own(key, &c, buf_str(&token));
        jwt_key_free(key);
    }
    for (size_t i = 0; i < COUNT(texts); i++)
        buf_release(&texts[i]);
    buf_release(&token);
}

TEST(a_signed_token_has_the_name_of_its_key_and_the_claim_of_its_tenant)
{
    struct jwt_key   *key = make_key(JWT_HS256, "k\"1", vector_secret);
    struct jwt_claims c = { .subject = STR("ann"),
                            .tenant_claim = STR("site"),
                            .tenant = STR("7"),
                            .issued = now,
                            .expires = now + 60 };
    struct jwt_rules  rules = { .keys = (const struct jwt_key *[]){ key }, .n_keys = 1 };
    struct buf        token = BUF(TOKEN_MAX), head = BUF(1000);
    struct str        rest, part;
    struct jwt        out;

    jwt_sign(key, &c, &token);
    rest = buf_str(&token);
    assert_true(str_next(&rest, '.', &part) && base64url_decode(part, &head));
    check_buf(&head, "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"k\\\"1\"}");
    assert_int_equal(jwt_check(&rules, buf_str(&token), now, &out), JWT_GOOD);
    check_str(out.tenant, "");
    jwt_release(&out);
    rules.tenant_claim = STR("site");
    assert_int_equal(jwt_check(&rules, buf_str(&token), now, &out), JWT_GOOD);
    check_str(out.tenant, "7");
    jwt_release(&out);
    buf_release(&token);
    buf_release(&head);
    jwt_key_free(key);
}

/* What gets new tokens shows nobody who asks, and the other way round. */
TEST(a_token_of_one_kind_is_none_of_the_other)
{
    static const struct {
        struct str       signed_as, wanted;
        enum jwt_verdict want;
    } rows[] = {
        { { NULL, 0 }, { NULL, 0 }, JWT_GOOD },
        { STR_INIT("at+jwt"), { NULL, 0 }, JWT_GOOD },
        { STR_INIT("refresh+jwt"), STR_INIT("refresh+jwt"), JWT_GOOD },
        { STR_INIT("application/Refresh+JWT"), STR_INIT("refresh+jwt"), JWT_GOOD },
        { STR_INIT("refresh+jwt"), { NULL, 0 }, JWT_WRONG_KIND },
        { { NULL, 0 }, STR_INIT("refresh+jwt"), JWT_WRONG_KIND },
        { STR_INIT("at+jwt"), STR_INIT("refresh+jwt"), JWT_WRONG_KIND },
    };

    check_same(JWT_REFRESH, STR("refresh+jwt"));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct jwt_claims c = {
            .type = rows[i].signed_as, .subject = STR("ann"), .issued = now, .expires = now + 60
        };
        struct jwt_rules rules = *plain_rules();
        struct buf       token = BUF(TOKEN_MAX);

        rules.type = rows[i].wanted;
        jwt_sign(secret_key, &c, &token);
        check_verdict(judge_by(&rules, buf_str(&token), now), rows[i].want, "row %zu", i);
        buf_release(&token);
    }
    for (size_t i = 0; i < 2; i++) {              /* a header without any */
        struct jwt_rules rules = *plain_rules();

        rules.type = i ? JWT_REFRESH : STR("");
        check_verdict(judge_parts(&rules, STR("{\"alg\":\"HS256\"}"),
                                  STR("{\"sub\":\"a\",\"exp\":1800000060}")),
                      i ? JWT_WRONG_KIND : JWT_GOOD, "none, %zu", i);
    }
}

TEST(a_token_that_does_not_fit_is_not_written)
{
    struct jwt_claims c = { .subject = STR("ann"), .expires = now + 1 };
    struct buf        small = BUF(60), large = BUF(TOKEN_MAX);
    char              name[JWT_MAX_BYTES];
    size_t            n_written = 0;

    jwt_sign(secret_key, &c, &small);
    assert_true(small.over && small.n == 0);
    memset(name, 'n', sizeof name);
    for (size_t n = 6000; n <= sizeof name; n++) {
        buf_clear(&large);
        large.over = false;
        c.subject = (struct str){ name, n };
        jwt_sign(secret_key, &c, &large);
        if (large.over)
            assert_int_equal(large.n, 0);
        else
            check_verdict(judge(buf_str(&large)), JWT_GOOD, "%zu bytes", large.n);
        n_written += !large.over;
    }
    check_that(n_written > 0 && n_written < 100, "%zu", n_written);
    buf_release(&small);
    buf_release(&large);
}

/* ---- attacks --------------------------------------------------------------- */

TEST(signatures_of_the_wrong_sort_are_bad)
{
    const char *const rows[] = {
        hs256_with_rsa_pem,       hs256_with_p256_pem, es256_in_der,
        es256_with_leading_zeros, es256_of_sha512,     rs256_as_pss,
        rs256_of_sha512,          rs256_called_es256,  es256_called_rs256,
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_verdict(judge(str_of(rows[i])), JWT_SIGNATURE, "row %zu", i);
    check_verdict(judge_with(rsa_key, hs256_with_rsa_pem), JWT_ALGORITHM, "RSA only");
    check_verdict(judge_with(p256_key, hs256_with_p256_pem), JWT_ALGORITHM, "P-256 only");
}

/* All of them carry a signature that is right for the secret. */
static const struct {
    const char      *head;
    enum jwt_verdict want;
} heads[] = {
    { "{\"alg\":\"HS256\"}", JWT_GOOD },
    { " {\n\"typ\" : \"JWT\", \"alg\" : \"HS256\" } ", JWT_GOOD },
    { "{\"\\u0061lg\":\"HS\\u003256\"}", JWT_GOOD },
    { "{\"alg\":\"HS256\",\"typ\":\"jwt\"}", JWT_GOOD },
    { "{\"alg\":\"HS256\",\"typ\":\"at+JWT\"}", JWT_GOOD },
    { "{\"alg\":\"HS256\",\"typ\":\"application/at+jwt\"}", JWT_GOOD },
    { "{\"alg\":\"HS256\",\"typ\":null,\"kid\":null}", JWT_GOOD },
    { "{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1:1/k\",\"x5u\":\"http://127.0.0.1:1/\"}",
      JWT_GOOD },
    { "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"},\"x5c\":[\"AAAA\"]}", JWT_GOOD },

    { "{\"alg\":\"none\"}", JWT_ALGORITHM },
    { "{\"alg\":\"None\"}", JWT_ALGORITHM },
    { "{\"alg\":\"NONE\"}", JWT_ALGORITHM },
    { "{\"alg\":\"nOnE\"}", JWT_ALGORITHM },
    { "{\"alg\":\"\"}", JWT_ALGORITHM },
    { "{\"alg\":null}", JWT_ALGORITHM },
    { "{\"alg\":[\"HS256\"]}", JWT_ALGORITHM },
    { "{\"alg\":{\"HS256\":1}}", JWT_ALGORITHM },
    { "{\"alg\":0}", JWT_ALGORITHM },
    { "{\"alg\":true}", JWT_ALGORITHM },
    { "{\"alg\":\"hs256\"}", JWT_ALGORITHM },
    { "{\"alg\":\"HS256 \"}", JWT_ALGORITHM },
    { "{\"alg\":\"HS25\"}", JWT_ALGORITHM },
    { "{\"alg\":\"HS384\"}", JWT_ALGORITHM },
    { "{\"alg\":\"HS512\"}", JWT_ALGORITHM },
    { "{\"alg\":\"RS256\"}", JWT_ALGORITHM },
    { "{\"alg\":\"ES256\"}", JWT_ALGORITHM },
    { "{\"alg\":\"PS256\"}", JWT_ALGORITHM },
    { "{\"Alg\":\"HS256\"}", JWT_ALGORITHM },
    { "{\"typ\":\"JWT\"}", JWT_ALGORITHM },
    { "{}", JWT_ALGORITHM },

    { "{\"alg\":\"HS256\",\"alg\":\"none\"}", JWT_MALFORMED },
    { "{\"alg\":\"none\",\"alg\":\"HS256\"}", JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"\\u0061lg\":\"HS256\"}", JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"kid\":\"a\",\"kid\":\"b\"}", JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"kid\":7}", JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"kid\":[\"a\"]}", JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"kid\":\"a\\u0000b\"}", JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"typ\":1}", JWT_MALFORMED },
    { "[{\"alg\":\"HS256\"}]", JWT_MALFORMED },
    { "\"HS256\"", JWT_MALFORMED },
    { "null", JWT_MALFORMED },
    { "", JWT_MALFORMED },
    { "{\"alg\":\"HS256\"}{}", JWT_MALFORMED },
    { "{\"alg\":\"HS256\",}", JWT_MALFORMED },
    { "{'alg':'HS256'}", JWT_MALFORMED },
    { "{\"alg\":\"HS256\",\"x\":\"\xff\"}", JWT_MALFORMED },
    { "\xef\xbb\xbf{\"alg\":\"HS256\"}", JWT_MALFORMED },

    { "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", JWT_DEMANDING },
    { "{\"alg\":\"HS256\",\"crit\":[\"x\"],\"x\":1}", JWT_DEMANDING },
    { "{\"alg\":\"HS256\",\"crit\":[]}", JWT_DEMANDING },
    { "{\"alg\":\"HS256\",\"crit\":null}", JWT_DEMANDING },
    { "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}", JWT_DEMANDING },
    { "{\"alg\":\"HS256\",\"b64\":false}", JWT_DEMANDING },
    { "{\"alg\":\"HS256\",\"b64\":true}", JWT_DEMANDING },

    { "{\"alg\":\"HS256\",\"typ\":\"JOSE\"}", JWT_WRONG_KIND },
    { "{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", JWT_WRONG_KIND },
    { "{\"alg\":\"HS256\",\"typ\":\"dpop+jwt\"}", JWT_WRONG_KIND },
    { "{\"alg\":\"HS256\",\"typ\":\"application/\"}", JWT_WRONG_KIND },
};

TEST(what_a_header_may_say)
{
    for (size_t i = 0; i < COUNT(heads); i++)
        check_verdict(judge_parts(plain_rules(), str_of(heads[i].head), CLAIMS), heads[i].want,
                      "%s", heads[i].head);
}

static const struct {
    const char      *claims;
    enum jwt_verdict want;
} claims_rows[] = {
    { "{\"sub\":\"a\",\"exp\":2000000000}", JWT_GOOD },
    { "{\"sub\":\"a\",\"exp\":2e9}", JWT_GOOD },
    { "{\"sub\":\"a\",\"exp\":1800000000.25}", JWT_GOOD },
    { "{\"sub\":\"a\",\"exp\":253402300799}", JWT_GOOD },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"nbf\":1800000000,\"iat\":1800000000}", JWT_GOOD },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"nbf\":null,\"iat\":0}", JWT_GOOD },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"aud\":[],\"iss\":\"\"}", JWT_GOOD },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"tenant\":null}", JWT_GOOD },

    { "{\"sub\":\"a\"}", JWT_NO_EXPIRY },
    { "{\"sub\":\"a\",\"exp\":null}", JWT_NO_EXPIRY },
    { "{\"sub\":\"a\",\"EXP\":2000000000}", JWT_NO_EXPIRY },
    { "{}", JWT_NO_EXPIRY },
    { "{\"sub\":\"a\",\"exp\":0}", JWT_EXPIRED },
    { "{\"sub\":\"a\",\"exp\":-0}", JWT_EXPIRED },
    { "{\"sub\":\"a\",\"exp\":1800000000}", JWT_EXPIRED },
    { "{\"sub\":\"a\",\"exp\":1799999999.999}", JWT_EXPIRED },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"nbf\":1800000001}", JWT_TOO_EARLY },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"nbf\":1800000000.5}", JWT_TOO_EARLY },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"iat\":1800000001}", JWT_TOO_EARLY },

    { "{\"sub\":\"a\",\"exp\":\"2000000000\"}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":true}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":[2000000000]}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":-1}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":-2000000000}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":253402300800}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000000}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":9223372036854775808}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":18446744073709551616}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":1e300}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"nbf\":\"0\"}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"nbf\":-1}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"iat\":{}}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"iat\":1e18}", JWT_ODD_CLAIM },
    { "{\"sub\":1,\"exp\":2000000000}", JWT_ODD_CLAIM },
    { "{\"sub\":[\"a\"],\"exp\":2000000000}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"iss\":1}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"aud\":1}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"aud\":{}}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"aud\":[\"a\",1]}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"tenant\":7}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"tenant\":[\"a\"]}", JWT_ODD_CLAIM },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"tenant\":false}", JWT_ODD_CLAIM },

    { "{\"exp\":2000000000}", JWT_NO_SUBJECT },
    { "{\"sub\":\"\",\"exp\":2000000000}", JWT_NO_SUBJECT },
    { "{\"sub\":null,\"exp\":2000000000}", JWT_NO_SUBJECT },

    { "{\"sub\":\"a\",\"sub\":\"b\",\"exp\":2000000000}", JWT_MALFORMED },
    { "{\"sub\":\"a\",\"exp\":1,\"exp\":2000000000}", JWT_MALFORMED },
    { "{\"sub\":\"a\",\"exp\":2000000000,\"x\":{\"y\":1,\"y\":1}}", JWT_MALFORMED },
    { "{\"sub\":\"a\\u0000b\",\"exp\":2000000000}", JWT_MALFORMED },
    { "{\"sub\":\"\\ud800\",\"exp\":2000000000}", JWT_MALFORMED },
    { "{\"sub\":\"\xc3\",\"exp\":2000000000}", JWT_MALFORMED },
    { "{\"sub\":\"a\",\"exp\":NaN}", JWT_MALFORMED },
    { "{\"sub\":\"a\",\"exp\":1e999}", JWT_MALFORMED },
    { "{\"sub\":\"a\",\"exp\":02000000000}", JWT_MALFORMED },
    { "[\"sub\",\"a\",\"exp\",2000000000]", JWT_MALFORMED },
    { "2000000000", JWT_MALFORMED },
    { "", JWT_MALFORMED },
};

TEST(what_claims_may_say)
{
    for (size_t i = 0; i < COUNT(claims_rows); i++)
        check_verdict(judge_parts(plain_rules(), HEAD, str_of(claims_rows[i].claims)),
                      claims_rows[i].want, "%s", claims_rows[i].claims);
}

TEST(the_leeway_moves_every_limit_and_no_further)
{
    static const struct {
        const char      *claims;
        enum jwt_verdict want;
    } rows[] = {
        { "{\"sub\":\"a\",\"exp\":1799999941}", JWT_GOOD },
        { "{\"sub\":\"a\",\"exp\":1799999940}", JWT_EXPIRED },
        { "{\"sub\":\"a\",\"exp\":1799999940.5}", JWT_GOOD },
        { "{\"sub\":\"a\",\"exp\":2000000000,\"nbf\":1800000060}", JWT_GOOD },
        { "{\"sub\":\"a\",\"exp\":2000000000,\"nbf\":1800000061}", JWT_TOO_EARLY },
        { "{\"sub\":\"a\",\"exp\":2000000000,\"iat\":1800000060}", JWT_GOOD },
        { "{\"sub\":\"a\",\"exp\":2000000000,\"iat\":1800000061}", JWT_TOO_EARLY },
    };
    struct jwt_rules rules = *plain_rules();

    rules.leeway = 60;
    for (size_t i = 0; i < COUNT(rows); i++)
        check_verdict(judge_parts(&rules, HEAD, str_of(rows[i].claims)), rows[i].want, "%s",
                      rows[i].claims);
}

TEST(issuer_and_audience_are_ours_to_the_letter)
{
    static const struct {
        const char      *more;
        enum jwt_verdict want;
    } rows[] = {
        { "\"iss\":\"id\",\"aud\":\"us\"", JWT_GOOD },
        { "\"iss\":\"id\",\"aud\":[\"us\"]", JWT_GOOD },
        { "\"iss\":\"id\",\"aud\":[\"them\",\"us\"]", JWT_GOOD },
        { "\"aud\":\"us\"", JWT_ISSUER },
        { "\"iss\":null,\"aud\":\"us\"", JWT_ISSUER },
        { "\"iss\":\"\",\"aud\":\"us\"", JWT_ISSUER },
        { "\"iss\":\"ID\",\"aud\":\"us\"", JWT_ISSUER },
        { "\"iss\":\"id/\",\"aud\":\"us\"", JWT_ISSUER },
        { "\"iss\":[\"id\"],\"aud\":\"us\"", JWT_ODD_CLAIM },
        { "\"iss\":\"id\"", JWT_AUDIENCE },
        { "\"iss\":\"id\",\"aud\":null", JWT_AUDIENCE },
        { "\"iss\":\"id\",\"aud\":\"\"", JWT_AUDIENCE },
        { "\"iss\":\"id\",\"aud\":\"u\"", JWT_AUDIENCE },
        { "\"iss\":\"id\",\"aud\":\"us them\"", JWT_AUDIENCE },
        { "\"iss\":\"id\",\"aud\":[]", JWT_AUDIENCE },
        { "\"iss\":\"id\",\"aud\":[\"them\"]", JWT_AUDIENCE },
        { "\"iss\":\"id\",\"aud\":[[\"us\"]]", JWT_ODD_CLAIM },
        { "\"iss\":\"id\",\"aud\":[\"us\",null]", JWT_ODD_CLAIM },
        { "\"iss\":\"id\",\"aud\":{\"us\":1}", JWT_ODD_CLAIM },
    };
    struct jwt_rules rules = *plain_rules();
    struct buf       claims = BUF(1000);

    rules.issuer = STR("id");
    rules.audience = STR("us");
    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_clear(&claims);
        buf_addf(&claims, "{\"sub\":\"a\",\"exp\":2000000000,%s}", rows[i].more);
        check_verdict(judge_parts(&rules, HEAD, buf_str(&claims)), rows[i].want, "%s",
                      rows[i].more);
    }
    buf_release(&claims);
}

/* ---- which key ------------------------------------------------------------- */

TEST(a_token_that_names_a_key_is_of_that_key)
{
    static const struct {
        const char      *kid;                 /* as JSON                        */
        size_t           signer;              /* see below                      */
        enum jwt_verdict with_unnamed, without_unnamed;
    } rows[] = {
        { "\"new\"", 0, JWT_GOOD, JWT_GOOD },
        { "\"old\"", 1, JWT_GOOD, JWT_GOOD },
        { "\"old\"", 0, JWT_SIGNATURE, JWT_SIGNATURE },
        { "\"new\"", 1, JWT_SIGNATURE, JWT_SIGNATURE },
        { "\"new\"", 2, JWT_SIGNATURE, JWT_SIGNATURE },
        { "\"rsa\"", 0, JWT_NO_KEY, JWT_NO_KEY },
        { "\"rsa\"", 2, JWT_NO_KEY, JWT_NO_KEY },
        { "\"other\"", 2, JWT_GOOD, JWT_NO_KEY },
        { "\"other\"", 0, JWT_SIGNATURE, JWT_NO_KEY },
        { "\"ne\"", 0, JWT_SIGNATURE, JWT_NO_KEY },
        { "\"new \"", 0, JWT_SIGNATURE, JWT_NO_KEY },
        { "\"../../dev/null\"", 0, JWT_SIGNATURE, JWT_NO_KEY },
        { "\"' or 1=1 --\"", 0, JWT_SIGNATURE, JWT_NO_KEY },
        { "\"\"", 0, JWT_GOOD, JWT_GOOD },
        { "null", 1, JWT_GOOD, JWT_GOOD },
        { "null", 2, JWT_GOOD, JWT_SIGNATURE },
    };
    struct jwt_key *keys[] = {
        make_key(JWT_HS256, "new", "the newer secret, of two and thirty bytes"),
        make_key(JWT_HS256, "old", "the older secret, of two and thirty bytes"),
        make_key(JWT_HS256, "", "a secret without a name, long enough too"),
        make_key(JWT_RS256, "rsa", rsa_pem),
    };
    const struct jwt_key *all[] = { keys[3], keys[2], keys[1], keys[0] };
    const struct jwt_key *named[] = { keys[0], keys[1], keys[3] };
    struct jwt_rules      with = { .keys = all, .n_keys = COUNT(all) };
    struct jwt_rules      without = { .keys = named, .n_keys = COUNT(named) };
    struct buf            token = BUF(TOKEN_MAX), head = BUF(1000);

    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_clear(&head);
        buf_addf(&head, "{\"alg\":\"HS256\",\"kid\":%s}", rows[i].kid);
        write_token(keys[rows[i].signer], buf_str(&head), CLAIMS, &token);
        check_verdict(judge_by(&with, buf_str(&token), now), rows[i].with_unnamed,
                      "row %zu, with a key without name", i);
        check_verdict(judge_by(&without, buf_str(&token), now), rows[i].without_unnamed,
                      "row %zu, all with names", i);
    }
    buf_release(&token);
    buf_release(&head);
    for (size_t i = 0; i < COUNT(keys); i++)
        jwt_key_free(keys[i]);
}

TEST(without_keys_nothing_is_good)
{
    struct jwt_rules rules = { .n_keys = 0 };

    for (size_t i = 0; i < COUNT(vectors); i++)
        check_verdict(judge_by(&rules, str_of(vectors[i].token), now), JWT_ALGORITHM, "%zu", i);
}

/* ---- shape and damage ------------------------------------------------------ */

TEST(a_token_has_three_parts_and_nothing_around_them)
{
    static const char *const shapes[] = {
        "",          ".",      "..",           "...",     "H",         "H.C",
        "H.C.",      "H..S",   ".C.S",         "H.C.S.",  ".H.C.S",    "H.C.S.S",
        "H.C.S.S.S", " H.C.S", "H.C.S ",       "H.C.S\n", "H .C.S",    "H.C .S",
        "H.C. S",    "H.C.S=", "H=.C.S",       "H.C=.S",  "H.C.SS",    "HH.C.S",
        "H.CC.S",    "C.H.S",  "Bearer H.C.S", "H,C,S",   "\"H.C.S\"", "H.C.S,H.C.S",
    };
    struct buf token = BUF(TOKEN_MAX), shaped = BUF(TOKEN_MAX);
    struct str parts[3], rest;

    write_token(secret_key, HEAD, CLAIMS, &token);
    check_verdict(judge(buf_str(&token)), JWT_GOOD, "as it was");
    rest = buf_str(&token);
    for (size_t i = 0; i < 3; i++)
        assert_true(str_next(&rest, '.', &parts[i]));
    for (size_t i = 0; i < COUNT(shapes); i++) {
        buf_clear(&shaped);
        for (const char *c = shapes[i]; *c; c++)
            if (*c == 'H' || *c == 'C' || *c == 'S')
                buf_add(&shaped, parts[*c == 'H' ? 0 : *c == 'C' ? 1 : 2]);
            else
                buf_add_char(&shaped, *c);
        check_that(judge(buf_str(&shaped)) != JWT_GOOD, "%s", shapes[i]);
    }
    buf_release(&token);
    buf_release(&shaped);
}

TEST(no_piece_of_a_good_token_is_good)
{
    for (size_t i = 0; i < COUNT(vectors); i += 5) {
        struct str token = str_of(vectors[i].token);

        check_verdict(judge(token), JWT_GOOD, "vector %zu", i);
        for (size_t n = 0; n < token.n; n++)
            check_that(judge((struct str){ token.p, n }) != JWT_GOOD, "%zu bytes of %zu", n, i);
        for (size_t n = 1; n <= token.n; n++)
            check_that(judge(str_from(token, n)) != JWT_GOOD, "%zu without %zu", i, n);
    }
}

/* A good token with one byte changed to each other in turn; a public key's, which takes its
 * time, to three others. */
TEST(no_byte_of_a_good_token_may_change)
{
    for (size_t i = 0; i < COUNT(vectors); i += 10) {
        struct str token = str_of(vectors[i].token);
        char      *copy = mem_copy(token.p, token.n);
        unsigned   step = vectors[i].alg == JWT_HS256 ? 1 : 91;

        for (size_t at = 0; at < token.n; at++) {
            for (unsigned change = 1; change < 256; change += step) {
                copy[at] = (char)(token.p[at] ^ change);
                check_that(judge((struct str){ copy, token.n }) != JWT_GOOD, "%zu: byte %zu ^ %u",
                           i, at, change);
            }
            copy[at] = token.p[at];
        }
        mem_free(copy);
    }
}

TEST(a_token_has_at_most_8_kib)
{
    struct buf claims = BUF(TOKEN_MAX), token = BUF(TOKEN_MAX);
    size_t     sizes[2] = { 0, 0 };

    for (size_t n = 6000; n < 6200; n++) {
        enum jwt_verdict v;

        buf_clear(&claims);
        buf_lit(&claims, "{\"exp\":2000000000,\"sub\":\"");
        for (size_t i = 0; i < n; i++)
            buf_add_char(&claims, 's');
        buf_lit(&claims, "\"}");
        write_token(secret_key, HEAD, buf_str(&claims), &token);
        v = judge(buf_str(&token));
        check_verdict(v, token.n <= 8192 ? JWT_GOOD : JWT_MALFORMED, "%zu bytes", token.n);
        sizes[v != JWT_GOOD]++;
    }
    assert_true(sizes[0] > 0 && sizes[1] > 0);
    buf_release(&claims);
    buf_release(&token);
}

TEST(a_header_has_at_most_2_kib)
{
    struct buf head = BUF(TOKEN_MAX);
    size_t     sizes[2] = { 0, 0 };

    for (size_t n = 1450; n < 1550; n++) {
        bool fits;

        buf_clear(&head);
        buf_lit(&head, "{\"alg\":\"HS256\",\"kid\":\"");
        for (size_t i = 0; i < n; i++)
            buf_add_char(&head, 'k');
        buf_lit(&head, "\"}");
        fits = head.n <= 1536;
        check_verdict(judge_parts(plain_rules(), buf_str(&head), CLAIMS),
                      fits ? JWT_GOOD : JWT_MALFORMED, "%zu bytes", head.n);
        sizes[fits]++;
    }
    assert_true(sizes[0] > 0 && sizes[1] > 0);
    buf_release(&head);
}

TEST(every_verdict_has_its_words)
{
    for (int v = JWT_GOOD; v <= JWT_NO_SUBJECT; v++) {
        assert_true(strlen(jwt_verdict_text((enum jwt_verdict)v)) > 5);
        for (int other = JWT_GOOD; other < v; other++)
            assert_string_not_equal(jwt_verdict_text((enum jwt_verdict)v),
                                    jwt_verdict_text((enum jwt_verdict)other));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rfcs_signatures_are_good),
        cmocka_unit_test(tokens_of_another_program_are_good_and_say_who_it_is),
        cmocka_unit_test(each_token_is_good_with_the_key_of_its_own_algorithm_only),
        cmocka_unit_test(another_key_of_the_same_algorithm_is_not_enough),
        cmocka_unit_test(what_we_sign_is_what_another_program_would_and_is_good),
        cmocka_unit_test(a_signed_token_has_the_name_of_its_key_and_the_claim_of_its_tenant),
        cmocka_unit_test(a_token_of_one_kind_is_none_of_the_other),
        cmocka_unit_test(a_token_that_does_not_fit_is_not_written),
        cmocka_unit_test(signatures_of_the_wrong_sort_are_bad),
        cmocka_unit_test(what_a_header_may_say),
        cmocka_unit_test(what_claims_may_say),
        cmocka_unit_test(the_leeway_moves_every_limit_and_no_further),
        cmocka_unit_test(issuer_and_audience_are_ours_to_the_letter),
        cmocka_unit_test(a_token_that_names_a_key_is_of_that_key),
        cmocka_unit_test(without_keys_nothing_is_good),
        cmocka_unit_test(a_token_has_three_parts_and_nothing_around_them),
        cmocka_unit_test(no_piece_of_a_good_token_is_good),
        cmocka_unit_test(no_byte_of_a_good_token_may_change),
        cmocka_unit_test(a_token_has_at_most_8_kib),
        cmocka_unit_test(a_header_has_at_most_2_kib),
        cmocka_unit_test(every_verdict_has_its_words),
    };

    return cmocka_run_group_tests(tests, make_keys, free_keys);
}
