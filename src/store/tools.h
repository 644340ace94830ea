/* tools.h - the tools that a tenant has of its own. */
#ifndef STORE_TOOLS_H
#define STORE_TOOLS_H

#include "store/store.h"
#include "wire/sha256.h"

enum { TENANT_TOOLS_MAX = 64 };               /* of one tenant                  */

/* As settings write it; nobody has looked whether it is any good. */
struct kept_tool {
    struct str name, description, method, url, parameters;
    struct str timeout, max_output, alone;
    struct str headers;                       /* a line each                    */
    struct str models;                        /* a line each                    */
    bool       is_for_all;                    /* models                         */
};

struct tools_call {
    struct verb       verb;
    struct kept_tool *tools;
    size_t            n;
    unsigned char     digest[SHA256_BYTES];   /* of all that they are           */
};

/* Those that are not disabled, by name. */
void tools_of_tenant(struct store *s, struct tools_call *c, int32_t tenant);

extern const struct pg_statement tool_statements[];

#endif
