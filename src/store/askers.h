/* askers.h - who asks: the key or the account behind what a request shows. */
#ifndef STORE_ASKERS_H
#define STORE_ASKERS_H

#include "store/store.h"

enum asker_standing {
    ASKER_WELCOME,
    ASKER_KEY_DISABLED,
    ASKER_KEY_EXPIRED,
    ASKER_PENDING,                            /* the account's status           */
    ASKER_REJECTED,
    ASKER_DISABLED,
};

struct asker {
    int32_t             tenant;
    int64_t             key, account;         /* 0: none                        */
    enum asker_standing standing;
    bool                is_limited;           /* an allowance speaks of him     */
    bool                has_models;           /* only these, a line each        */
    struct str          models, subject, nickname, role, tenant_name;
};

struct asker_call {
    struct verb  verb;
    struct asker asker;
};

/* By the SHA-256 of a key. */
void asker_by_key(struct store *s, struct asker_call *c, struct str hash);

/* By a tenant's name and a token's subject, who gets an account if he has none. Not found: the
 * tenant. */
void asker_by_subject(struct store *s, struct asker_call *c, struct str tenant, struct str subject,
                      bool is_approved);

/* The same for one who says what he is called and what he does; what is empty stays as it was. */
void asker_introduced(struct store *s, struct asker_call *c, struct str tenant, struct str subject,
                      bool is_approved, struct str nickname, struct str role);

extern const struct pg_statement asker_statements[];

#endif
