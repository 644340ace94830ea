#include "check.h"

#include "jwt_vectors.h"
#include "wire/base64.h"
#include "wire/jwt_key.h"

static struct jwt_key *make_key(enum jwt_alg alg, const char *name, const char *material)
{
    const char     *why;
    struct jwt_key *k = jwt_key_new(alg, str_of(name), str_of(material), &why);

    check_that(k, "%s: %s", material, why);
    return k;
}

/* A token's signed text, and its signature as bytes. */
static struct str take_apart(const char *token, struct buf *signature)
{
    const char *dot = strrchr(token, '.');

    buf_clear(signature);
    assert_true(base64url_decode(str_of(dot + 1), signature));
    return (struct str){ token, (size_t)(dot - token) };
}

/* ---- what a key is made of ------------------------------------------------- */

TEST(a_key_that_does_not_fit_is_refused_and_told_why)
{
    static const char private[] = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    static const char garbage[] = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n";
    static const struct {
        enum jwt_alg alg;
        const char  *material, *part_of_why;
    } rows[] = {
        { JWT_HS256, "", "at least 32 bytes" },
        { JWT_HS256, "only thirty-one bytes, to be it", "at least 32 bytes" },
        { JWT_HS256, rsa_pem, "others may know" },
        { JWT_HS256, rsa_pkcs1_pem, "others may know" },
        { JWT_HS256, p256_pem, "others may know" },
        { JWT_HS256, certificate_pem, "others may know" },
        { JWT_HS256, private, "others may know" },
        { JWT_RS256, "", "no public key in PEM" },
        { JWT_RS256, vector_secret, "no public key in PEM" },
        { JWT_RS256, garbage, "cannot be read" },
        { JWT_RS256, private, "private" },
        { JWT_RS256, certificate_pem, "certificate" },
        { JWT_RS256, p256_pem, "no RSA key" },
        { JWT_RS256, rsa_1024_pem, "2048" },
        { JWT_RS256, rsa_2040_pem, "2048" },
        { JWT_ES256, "", "no public key in PEM" },
        { JWT_ES256, vector_secret, "no public key in PEM" },
        { JWT_ES256, garbage, "cannot be read" },
        { JWT_ES256, private, "private" },
        { JWT_ES256, certificate_pem, "certificate" },
        { JWT_ES256, rsa_pem, "P-256" },
        { JWT_ES256, p384_pem, "P-256" },
        { JWT_ES256, k256_pem, "P-256" },
        { JWT_ES256, ed25519_pem, "cannot be read" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t          before = mem_live_bytes();
        const char     *why = NULL;
        struct jwt_key *k = jwt_key_new(rows[i].alg, STR("name"), str_of(rows[i].material), &why);

        check_that(!k && why, "row %zu was taken", i);
        check_that(strstr(why, rows[i].part_of_why), "row %zu: %s", i, why);
        assert_int_equal(mem_live_bytes(), before);
    }
}

TEST(a_key_that_fits_is_taken_in_either_dress)
{
    struct jwt_key *k = make_key(JWT_RS256, "r", rsa_pkcs1_pem);
    struct buf      signature = BUF(1000);
    size_t          n = 0;

    for (size_t i = 0; i < COUNT(vectors); i++)
        if (vectors[i].alg == JWT_RS256) {
            struct str text = take_apart(vectors[i].token, &signature);

            n += jwt_key_has_signed(k, text, buf_str(&signature));
        }
    assert_int_equal(n, 10);
    buf_release(&signature);
    check_str(jwt_key_name(k), "r");
    jwt_key_free(k);
    jwt_key_free(make_key(JWT_HS256, "", "two and thirty bytes, not fewer!"));
}

/* Every beginning of a good PEM, and every single change of one, is taken or refused. */
TEST(any_damage_to_a_pem_is_survived)
{
    const char *const pems[] = { rsa_pem, p256_pem, rsa_pkcs1_pem };
    const char       *why;

    for (size_t i = 0; i < COUNT(pems); i++)
        for (size_t n = 0; n < strlen(pems[i]); n++) {
            char           *copy = mem_copy(pems[i], strlen(pems[i]));
            enum jwt_alg    alg = i == 1 ? JWT_ES256 : JWT_RS256;
            struct jwt_key *k = jwt_key_new(alg, STR(""), (struct str){ copy, n }, &why);

            check_that(!k || n + 1 >= strlen(pems[i]), "%zu bytes of %zu", n, i);
            jwt_key_free(k);
            copy[n] ^= 1;
            jwt_key_free(jwt_key_new(alg, STR(""), str_of(copy), &why));
            mem_free(copy);
        }
}

/* ---- signatures ------------------------------------------------------------ */

/* By the algorithm: a token, and its key. */
static const struct {
    const char *token, *material;
} signed_by[] = {
    [JWT_HS256] = { rfc_hs256, rfc_secret },
    [JWT_RS256] = { rfc_rs256, rfc_rsa_pem },
    [JWT_ES256] = { rfc_es256, rfc_p256_pem },
};

TEST(a_signature_has_its_length_and_no_other)
{
    struct buf signature = BUF(1000);

    for (size_t alg = 0; alg < COUNT(signed_by); alg++) {
        struct jwt_key *k = make_key((enum jwt_alg)alg, "", signed_by[alg].material);
        struct str      text = take_apart(signed_by[alg].token, &signature);
        size_t          good = signature.n;

        buf_add(&signature, STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
        buf_add(&signature, STR("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
        for (size_t n = 0; n <= signature.n; n++)
            check_that(jwt_key_has_signed(k, text, (struct str){ signature.p, n }) == (n == good),
                       "%zu bytes for algorithm %zu", n, alg);
        jwt_key_free(k);
    }
    buf_release(&signature);
}

TEST(a_signature_is_of_its_text_and_no_other)
{
    struct buf signature = BUF(1000);

    for (size_t alg = 0; alg < COUNT(signed_by); alg++) {
        struct jwt_key *k = make_key((enum jwt_alg)alg, "", signed_by[alg].material);
        struct str      text = take_apart(signed_by[alg].token, &signature);

        assert_true(jwt_key_has_signed(k, text, buf_str(&signature)));
        text.n--;
        assert_false(jwt_key_has_signed(k, text, buf_str(&signature)));
        assert_false(jwt_key_has_signed(k, STR(""), buf_str(&signature)));
        jwt_key_free(k);
    }
    buf_release(&signature);
}

/* What ECDSA must not take: numbers that are zero, or not below the order of the curve. */
TEST(numbers_outside_the_curve_are_no_signature)
{
    static const unsigned char order[32] = {
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
        0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    };
    unsigned char   numbers[4][32] = { { 0 }, { 0 }, { 0 }, { 0 } };
    unsigned char   signature[64];
    struct jwt_key *key = make_key(JWT_ES256, "", p256_pem);

    memset(numbers[1], 0xff, 32);
    memcpy(numbers[2], order, 32);
    numbers[3][31] = 1;
    for (size_t i = 0; i < 16; i++) {
        memcpy(signature, numbers[i / 4], 32);
        memcpy(signature + 32, numbers[i % 4], 32);
        check_that(!jwt_key_has_signed(key, STR("a.b"), (struct str){ (char *)signature, 64 }),
                   "pair %zu", i);
    }
    jwt_key_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_that_does_not_fit_is_refused_and_told_why),
        cmocka_unit_test(a_key_that_fits_is_taken_in_either_dress),
        cmocka_unit_test(any_damage_to_a_pem_is_survived),
        cmocka_unit_test(a_signature_has_its_length_and_no_other),
        cmocka_unit_test(a_signature_is_of_its_text_and_no_other),
        cmocka_unit_test(numbers_outside_the_curve_are_no_signature),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
