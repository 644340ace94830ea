/* operator.h - what an operator does to tenants, accounts and keys, one question each.
 *
 * These are for commands: they wait (pg/pg_now.h). What comes back are rows whose columns
 * have names for people and programs; NULL: the database refused, and pg_now_why() tells.
 * Tenants are called by their name.
 */
#ifndef STORE_OPERATOR_H
#define STORE_OPERATOR_H

#include "pg/pg_now.h"

const struct pg_rows *operator_tenants(struct pg_now *db);
const struct pg_rows *operator_make_tenant(struct pg_now *db, const char *name);

/* The tenant or the status may be NULL: of all. */
const struct pg_rows *operator_accounts(struct pg_now *db, const char *tenant, const char *status);

/* No row: there is no such account. */
const struct pg_rows *operator_judge_account(struct pg_now *db, const char *tenant,
                                             const char *subject, const char *status);

enum operator_limit {
    OPERATOR_REQUESTS_PER_MINUTE,
    OPERATOR_TOKENS_PER_MINUTE,
    OPERATOR_STREAMS,
    OPERATOR_TOKENS_PER_DAY,
    OPERATOR_MONEY_PER_DAY,                   /* in the currency of the prices, with decimals */
    OPERATOR_LIMITS
};

/* Of an account or, where the subject is NULL, of a tenant as a whole. Numbers; NULL: as it is;
 * "none": no limit. No row: there is no such tenant or account. */
const struct pg_rows *operator_limit(struct pg_now *db, const char *tenant, const char *subject,
                                     const char *const limits[OPERATOR_LIMITS]);

struct operator_key {
    const char *tenant, *name;
    const char *account;                      /* its subject; NULL: none        */
    const char *models;                       /* with commas; NULL: all         */
    const char *seconds;                      /* until it expires; NULL: never  */
    const char *limits[OPERATOR_LIMITS];      /* numbers; NULL: none            */
    const char *hash, *hint;                  /* SHA-256 in hex, and how it begins */
};

const struct pg_rows *operator_keys(struct pg_now *db, const char *tenant);     /* NULL: of all */

/* No row: there is no such tenant or account. */
const struct pg_rows *operator_make_key(struct pg_now *db, const struct operator_key *key);

/* No row: there is no such key. */
const struct pg_rows *operator_revoke_key(struct pg_now *db, const char *tenant, const char *id);

/* The turns that have not ended, of all or (NULL: of all) one tenant, the oldest first. Those of
 * which nothing is kept are not among them. */
const struct pg_rows *operator_turns(struct pg_now *db, const char *tenant);

/* What became of a turn. No row: there is no such turn. */
const struct pg_rows *operator_turn(struct pg_now *db, const char *tenant, const char *id);
enum { OPERATOR_TURN_STATE = 1 };             /* the column that says it        */

/* Does what turn_stop() does, for whoever owns the turn. No row: it does not run. */
const struct pg_rows *operator_stop_turn(struct pg_now *db, const char *tenant, const char *id,
                                         bool notifies);

/* ---- tools -------------------------------------------------------------------------- */

/* Numbers and truth as texts. Its headers never come back, but for their names. */
struct operator_tool {
    const char *tenant, *name, *url;
    const char *description, *method, *parameters;
    const char *headers;                      /* a line each                    */
    const char *models;                       /* the same; NULL: all            */
    const char *timeout_ms, *max_output_bytes, *runs_alone;
};

const struct pg_rows *operator_tools(struct pg_now *db, const char *tenant);    /* NULL: of all */

/* No row: there is no such tool, which is so for the three behind it, too. */
const struct pg_rows *operator_tool(struct pg_now *db, const char *tenant, const char *name);
const struct pg_rows *operator_switch_tool(struct pg_now *db, const char *tenant, const char *name,
                                           bool is_disabled);
const struct pg_rows *operator_remove_tool(struct pg_now *db, const char *tenant, const char *name);

/* No row: there is no such tenant, it has one of that name and `replaces` is false, or it has
 * as many as it may have. One that is replaced stays disabled if it was. */
const struct pg_rows *operator_keep_tool(struct pg_now *db, const struct operator_tool *tool,
                                         bool replaces);

bool operator_has_tenant(struct pg_now *db, const char *tenant);

#endif
