/* spark_question.h - a question in Spark's words: which address to visit, and the one frame to
 * say there. No I/O.
 *
 * A model is a domain there; each has its own path, and the two must fit.
 */
#ifndef PROVIDER_SPARK_QUESTION_H
#define PROVIDER_SPARK_QUESTION_H

#include "provider/provider.h"
#include "wire/spark_sign.h"

/* The base URL's own path, if it has one, wins: models made to measure live anywhere.
 * Empty: this model's path is not known. */
struct str spark_path(struct str base_path, struct str model);

/* The path with its signed query: the target of the handshake. */
void spark_write_target(const struct spark_visit *v, struct buf *out);

/* Texts are all that it reads. */
bool spark_takes(const struct provider *p, const struct question *q);

void spark_write_question(const struct provider *p, const struct question *q, struct str model,
                          struct buf *out);

#endif
