/* setup.h - the settings of this program: where they come from, what is wrong with them, and
 * who is told when they are new.
 *
 * Reading them needs no library but libyaml's reader. Judging does: keys are tried and files
 * of certificates read. So a process that forks may read, and has another one judge.
 */
#ifndef SETUP_H
#define SETUP_H

#include "base/settings.h"
#include "net/ports.h"

struct http_server;
struct store;

void        setup_file(const char *path);     /* stays the caller's             */
bool        setup_override(const char *text); /* "name=value"; false: too many  */
bool        setup_has_file(void);
const char *setup_from(void);                 /* the file, for people           */

/* Three times the settings, or NULL with mistakes, a line each. */
struct settings *setup_read(struct buf *mistakes);
struct settings *setup_judge(struct settings *read, struct buf *mistakes);   /* NULL: NULL */
struct settings *setup_load(struct buf *mistakes);    /* both                   */

/* What is no mistake, but may surprise. */
void setup_write_notices(const struct settings *s, struct buf *out);

void setup_tell_mistakes(const struct buf *mistakes); /* of a reload, in the log */
void setup_warn_of_restart(const struct settings *now, const struct settings *next);

/* From now on these hold; a server that is open is told as well. */
void          setup_use(struct settings *s, struct http_server *open);
void          setup_open_ports(const struct settings *s, struct ports *p, size_t n);
struct store *setup_store(void);              /* NULL: no database              */
void          setup_release(void);            /* the store; at the end          */

#endif
