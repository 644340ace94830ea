/* jwt_key.h - what a token is signed with: a shared secret, or somebody's public key.
 *
 * A key belongs to one algorithm for all its life and refuses to be made of anything that
 * does not fit it (RFC 8725, 3.1 and 3.5). That is what keeps a public key, which everybody
 * knows, from being taken for a shared secret. No I/O.
 */
#ifndef WIRE_JWT_KEY_H
#define WIRE_JWT_KEY_H

#include "base/buf.h"
#include "base/settings.h"

enum jwt_alg { JWT_HS256, JWT_RS256, JWT_ES256 };

enum { JWT_SECRET_MIN_BYTES = 32, JWT_RSA_MIN_BITS = 2048 };

struct jwt_key;

/* The material is a secret for HS256, a public key as PEM for the others; it and the name are
 * copied. The name is what tokens call the key (`kid`) and may be empty. NULL when the material
 * does not fit; `why` then says so in half a sentence. */
struct jwt_key *jwt_key_new(enum jwt_alg alg, struct str name, struct str material,
                            const char **why);
/* The one that the settings name. */
struct jwt_key *jwt_key_of_settings(const struct access_settings *a, const char **why);
void            jwt_key_free(struct jwt_key *k);                  /* NULL is fine */

enum jwt_alg jwt_key_alg(const struct jwt_key *k);
struct str   jwt_key_name(const struct jwt_key *k);

struct str jwt_alg_name(enum jwt_alg alg);    /* "HS256", as tokens write it    */

/* The signature is bytes, as RFC 7518 lays them out. */
bool jwt_key_has_signed(const struct jwt_key *k, struct str text, struct str signature);

void jwt_key_sign(const struct jwt_key *k, struct str text, struct buf *signature);   /* HS256 */

#endif
