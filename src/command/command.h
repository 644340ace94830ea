/* command.h - the operator's commands: what the program does besides serving.
 *
 * A command is a row: one or two words, what it takes, its options, what it runs. The help is
 * made of the rows. Commands wait for the database and end the program with die() when they
 * cannot do what they were asked for.
 */
#ifndef COMMAND_COMMAND_H
#define COMMAND_COMMAND_H

#include "base/settings.h"

bool command_is(const char *word);            /* the first word of one          */
int  command_run(int argc, char **argv);      /* from that word on; what main() returns */
void command_write_help(struct buf *out);     /* a line for each                */

/* What "migrate" does, for a program that is going to serve: it tells the log. */
void command_migrate_first(const struct settings *s);

#endif
