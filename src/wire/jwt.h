/* jwt.h - JSON Web Tokens (RFC 7519, with the cautions of RFC 8725): who is asking.
 *
 * A token is believed for what its signature covers and for nothing else. Which algorithms
 * and keys count is the rules' business; of the header only the name of one of our own keys
 * is used, and where it says to find other keys is never read. What is asked of a token:
 *
 *   at most 8 KiB: three parts in base64 for addresses, the first two JSON objects, of which
 *            the header, which anybody may have written, has at most 2 KiB
 *   alg      the algorithm of one of the keys
 *   typ      what the rules say; or, if they say nothing, "JWT", "at+jwt" or none at all
 *   kid      if a key has this name, none but it is tried; else the keys without a name are
 *   crit     never; nor b64
 *   exp      there, and not yet reached; nbf and iat, if any, not ahead: give or take the leeway
 *   iss, aud as the rules say
 *   sub      a text that is not empty
 *
 * No I/O, and no clock: the caller says what time it is. A check takes 5 us for HS256, 0.1 ms
 * for RS256 and well over a millisecond for ES256, whether the signature is good or not.
 */
#ifndef WIRE_JWT_H
#define WIRE_JWT_H

#include "base/json.h"
#include "wire/jwt_key.h"

enum { JWT_MAX_BYTES = 8 * 1024, JWT_HEAD_MAX_BYTES = 2 * 1024 };

/* The type of what is good for a new token and for nothing else. */
#define JWT_REFRESH STR("refresh+jwt")

struct jwt_rules {
    const struct jwt_key *const *keys;
    size_t                       n_keys;
    struct str                   issuer;      /* empty: any                     */
    struct str                   audience;    /* empty: any                     */
    struct str                   tenant_claim; /* empty: "tenant"               */
    struct str                   type;        /* empty: what shows who asks     */
    int64_t                      leeway;      /* seconds, for clocks that differ */
};

/* Verdict, and why in words: the rest of a sentence about "the token". */
#define JWT_VERDICTS(X)                                                                            \
    X(JWT_GOOD, "is good")                                                                         \
    X(JWT_MALFORMED, "is malformed")                                                               \
    X(JWT_WRONG_KIND, "is of another kind")                                                        \
    X(JWT_DEMANDING, "asks for something that is not known here")                                  \
    X(JWT_ALGORITHM, "is signed with an algorithm that is not allowed")                            \
    X(JWT_NO_KEY, "names a key that is not known here")                                            \
    X(JWT_SIGNATURE, "has a bad signature")                                                        \
    X(JWT_ODD_CLAIM, "has a claim of the wrong type or out of range")                              \
    X(JWT_NO_EXPIRY, "says not when it expires")                                                   \
    X(JWT_EXPIRED, "has expired")                                                                  \
    X(JWT_TOO_EARLY, "is not valid yet")                                                           \
    X(JWT_ISSUER, "is from another issuer")                                                        \
    X(JWT_AUDIENCE, "is for another audience")                                                     \
    X(JWT_NO_SUBJECT, "names no subject")

#define JWT_VERDICT(name, text) name,
enum jwt_verdict { JWT_VERDICTS(JWT_VERDICT) };
#undef JWT_VERDICT

const char *jwt_verdict_text(enum jwt_verdict v);

struct jwt {
    struct str       subject;                 /* borrowed from the claims       */
    struct str       tenant;                  /* so is this; empty: none named  */
    struct json_doc *claims;
};

/* `now` is in seconds since 1970. *out is filled for JWT_GOOD only, and empty otherwise. */
enum jwt_verdict jwt_check(const struct jwt_rules *rules, struct str token, int64_t now,
                           struct jwt *out);
void             jwt_release(struct jwt *j);

/* What a token of our own says; what is empty is left out. Texts are valid UTF-8. */
struct jwt_claims {
    struct str type;                          /* of the header; empty: "JWT"    */
    struct str issuer, audience, subject, id;
    struct str tenant_claim;                  /* empty: "tenant"                */
    struct str tenant;
    int64_t    issued, expires;               /* seconds since 1970             */
};

/* The key is one for HS256. */
void jwt_sign(const struct jwt_key *key, const struct jwt_claims *claims, struct buf *out);

#endif
