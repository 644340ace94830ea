/* migrations.h - the files of sql/, which the build puts into the program. */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

#include "base/str.h"

struct migration {
    int         number;                       /* from 1, without a gap          */
    const char *name;
    struct str  sql;                          /* terminated                     */
};

extern const struct migration migrations[];
extern const size_t           n_migrations;

#endif
