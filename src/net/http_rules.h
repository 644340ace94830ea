/* http_rules.h - what a lawful request is: the part of the reader that is all judgement.
 *
 * Each check returns 0, or refuses (status and reason in the reader) and returns an error
 * for llhttp.
 */
#ifndef NET_HTTP_RULES_H
#define NET_HTTP_RULES_H

#include "net/http_reader.h"

int http_refuse_reading(struct http_reader *r, int status, const char *why);

int http_check_line(struct http_reader *r, struct str line);   /* with its CRLF  */
int http_check_head(struct http_reader *r);                    /* fields and target */

#endif
