#include "wire/jwt_key.h"

#include "base/mem.h"

#include <assert.h>
#include <mbedtls/constant_time.h>
#include <mbedtls/ecp.h>
#include <mbedtls/md.h>
#include <mbedtls/pk.h>
#include <mbedtls/platform_util.h>
#include <mbedtls/psa_util.h>
#include <string.h>

enum {
    DIGEST_BYTES = 32,
    P256_BITS = 256,
    P256_SIGNATURE_BYTES = 64,                /* r and s                        */
    DER_MAX_BYTES = 80,
};

struct jwt_key {
    enum jwt_alg alg;
    struct str   name;         /* ours                           */
    struct str   secret;       /* ours; HS256 only               */
    mbedtls_pk_context public;                /* the others                     */
};

static const struct str alg_names[] = {
    [JWT_HS256] = STR_INIT("HS256"),
    [JWT_RS256] = STR_INIT("RS256"),
    [JWT_ES256] = STR_INIT("ES256"),
};

struct str jwt_alg_name(enum jwt_alg alg)
{
    return alg_names[alg];
}

enum jwt_alg jwt_key_alg(const struct jwt_key *k)
{
    return k->alg;
}

struct str jwt_key_name(const struct jwt_key *k)
{
    return k->name;
}

/* ---- what a key is made of ------------------------------------------------- */

static bool has(struct str text, struct str part)
{
    return text.n && memmem(text.p, text.n, part.p, part.n);
}

/* Terminated, which the library wants of PEM. */
static struct str copy(struct str s)
{
    return (struct str){ mem_copy(s.n ? s.p : "", s.n), s.n };
}

static const char *take_secret(struct jwt_key *k, struct str material)
{
    if (has(material, STR("-----BEGIN ")))
        return "it is a key or certificate in PEM, which others may know; HS256 takes a secret";
    if (material.n < JWT_SECRET_MIN_BYTES)
        return "a secret for HS256 has at least 32 bytes";
    k->secret = copy(material);
    return NULL;
}

/* The library would also take other things in PEM, and DER without it. */
static const char *read_pem(mbedtls_pk_context *public, struct str pem)
{
    struct str terminated;
    int        rc;

    if (has(pem, STR("PRIVATE KEY-----")))
        return "it is a private key; tokens are checked with the public one";
    if (has(pem, STR("-----BEGIN CERTIFICATE-----")))
        return "it is a certificate, not the public key alone";
    if (!has(pem, STR("-----BEGIN PUBLIC KEY-----")) &&
        !has(pem, STR("-----BEGIN RSA PUBLIC KEY-----")))
        return "it is no public key in PEM";
    terminated = copy(pem);
    rc = mbedtls_pk_parse_public_key(public, (const unsigned char *)terminated.p, pem.n + 1);
    mem_free((char *)terminated.p);
    return rc ? "it cannot be read as a public key of RSA or of a known curve" : NULL;
}

static const char *what_does_not_fit(enum jwt_alg alg, const mbedtls_pk_context *public)
{
    mbedtls_pk_type_t type = mbedtls_pk_get_type(public);

    if (alg == JWT_RS256) {
        if (type != MBEDTLS_PK_RSA)
            return "it is no RSA key, which RS256 takes";
        if (mbedtls_pk_get_bitlen(public) < JWT_RSA_MIN_BITS)
            return "an RSA key for RS256 has at least 2048 bits";
        return NULL;
    }
    if (type != MBEDTLS_PK_ECKEY ||
        mbedtls_ecp_keypair_get_group_id(mbedtls_pk_ec(*public)) != MBEDTLS_ECP_DP_SECP256R1)
        return "it is no key of the curve P-256, which ES256 takes";
    return NULL;
}

static const char *take_public(struct jwt_key *k, struct str pem)
{
    const char *why = read_pem(&k->public, pem);

    return why ? why : what_does_not_fit(k->alg, &k->public);
}

struct jwt_key *jwt_key_new(enum jwt_alg alg, struct str name, struct str material,
                            const char **why)
{
    struct jwt_key *k = mem_new(sizeof *k);

    k->alg = alg;
    k->name = copy(name);
    mbedtls_pk_init(&k->public);
    *why = alg == JWT_HS256 ? take_secret(k, material) : take_public(k, material);
    if (!*why)
        return k;
    jwt_key_free(k);
    return NULL;
}

_Static_assert((int)ACCESS_HS256 == (int)JWT_HS256 && (int)ACCESS_RS256 == (int)JWT_RS256 &&
                   (int)ACCESS_ES256 == (int)JWT_ES256,
               "the settings count the algorithms as we do");

struct jwt_key *jwt_key_of_settings(const struct access_settings *a, const char **why)
{
    return jwt_key_new((enum jwt_alg)a->jwt_algorithm, STR(""), a->jwt_key, why);
}

void jwt_key_free(struct jwt_key *k)
{
    if (!k)
        return;
    mbedtls_pk_free(&k->public);
    if (k->secret.n)
        mbedtls_platform_zeroize((char *)k->secret.p, k->secret.n);
    mem_free((char *)k->secret.p);
    mem_free((char *)k->name.p);
    mem_free(k);
}

/* ---- signatures ------------------------------------------------------------ */

static const mbedtls_md_info_t *sha256(void)
{
    return mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
}

static void hmac(const struct jwt_key *k, struct str text, unsigned char digest[DIGEST_BYTES])
{
    int rc = mbedtls_md_hmac(sha256(), (const unsigned char *)k->secret.p, k->secret.n,
                             (const unsigned char *)text.p, text.n, digest);

    assert(rc == 0);                          /* it can only run out of memory  */
    (void)rc;
}

static bool is_hmac(const struct jwt_key *k, struct str text, struct str signature)
{
    unsigned char digest[DIGEST_BYTES];

    if (signature.n != sizeof digest)
        return false;
    hmac(k, text, digest);
    return mbedtls_ct_memcmp(digest, signature.p, sizeof digest) == 0;
}

/* Tokens have the two numbers of ECDSA side by side, the library wants them as DER. */
static bool write_der(struct str signature, unsigned char der[DER_MAX_BYTES], size_t *n)
{
    return signature.n == P256_SIGNATURE_BYTES &&
           mbedtls_ecdsa_raw_to_der(P256_BITS, (const unsigned char *)signature.p, signature.n, der,
                                    DER_MAX_BYTES, n) == 0;
}

static bool is_of_public(const struct jwt_key *k, struct str text, struct str signature)
{
    unsigned char        digest[DIGEST_BYTES], der[DER_MAX_BYTES];
    const unsigned char *bytes = (const unsigned char *)signature.p;
    size_t               n = signature.n;
    /* The library's argument is not const, though a public key only rests there. */
    mbedtls_pk_context *public = (mbedtls_pk_context *)(uintptr_t)&k->public;
    int rc;

    if (k->alg == JWT_ES256) {
        if (!write_der(signature, der, &n))
            return false;
        bytes = der;
    }
    rc = mbedtls_md(sha256(), (const unsigned char *)text.p, text.n, digest);
    assert(rc == 0);
    rc = mbedtls_pk_verify(public, MBEDTLS_MD_SHA256, digest, sizeof digest, bytes, n);
    return rc == 0;
}

bool jwt_key_has_signed(const struct jwt_key *k, struct str text, struct str signature)
{
    return k->alg == JWT_HS256 ? is_hmac(k, text, signature) : is_of_public(k, text, signature);
}

void jwt_key_sign(const struct jwt_key *k, struct str text, struct buf *signature)
{
    unsigned char digest[DIGEST_BYTES];

    assert(k->alg == JWT_HS256);
    hmac(k, text, digest);
    buf_add(signature, (struct str){ (const char *)digest, sizeof digest });
}
