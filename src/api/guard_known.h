/* guard_known.h - those who have shown themselves, under the digest of what they showed; for
 * guard.c only. Those whom nobody uses go when there are too many, the oldest first.
 */
#ifndef API_GUARD_KNOWN_H
#define API_GUARD_KNOWN_H

#include "base/list.h"
#include "store/askers.h"
#include "wire/sha256.h"

enum { KNOWN_WORDS_MAX = 160 };

struct known {
    struct link       in_bucket, by_age;
    unsigned char     digest[SHA256_BYTES];
    struct asker_call call;
    struct asker      asker;                  /* the last one that was found    */
    struct arena      arena;                  /* its texts                      */
    bool              is_found;
    bool              is_strange;             /* nobody here has made it        */
    int               status;                 /* of a refusal; 0: welcome       */
    char              why[KNOWN_WORDS_MAX];
    uint64_t          until;
    struct list       visitors;               /* who wait for the answer        */
    size_t            users;
};

struct known *known_find(const unsigned char *digest);
struct known *known_new(const unsigned char *digest);
void          known_refuse(struct known *k, int status, const char *why);
void          known_unuse(struct known *k);   /* by one who has counted himself in `users` */
void          known_forget_all(void);         /* whoever uses one keeps it      */

#endif
