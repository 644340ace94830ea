/* conf_value.h - what the readers of settings share; nobody else includes it.
 *
 * A conf_place is where we are: the file's line or the variable's name, and the key as a
 * person would write it (models[0].targets[1].provider).
 */
#ifndef BASE_CONF_VALUE_H
#define BASE_CONF_VALUE_H

#include "base/conf.h"

enum { CONF_KEY_MAX = 160, CONF_ENV_MAX = CONF_KEY_MAX + 8 };

struct conf_place {
    const struct conf_load *load;
    const char             *source;           /* "environment", or NULL: the file */
    int                     line;
    bool                    hidden;           /* the value may be a secret: do not show it */
    char                    key[CONF_KEY_MAX];
};

void conf_tell(const struct conf_place *at, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct conf_place conf_below(const struct conf_place *at, const char *name);

/* Values: one line of text (lists: comma-separated), one text, a list as a whole. */
void        conf_read_line(const struct conf_place *at, const struct conf_field *f, struct str text,
                           void *to);
void        conf_read_text(const struct conf_place *at, const struct conf_field *f, struct str text,
                           void *to);
struct str *conf_grow_texts(const struct conf_place *at, struct conf_texts *list, size_t n);
void        conf_check_list(const struct conf_place *at, const struct conf_field *f,
                            const struct conf_texts *list);

const char *conf_expected(enum conf_kind kind);
const char *conf_bound_text(const struct conf_field *f, uint64_t v, char out[32]);

/* Records. */
void conf_set_defaults(const struct conf_place *at, const struct conf_record *r, char *out);
const struct conf_field *conf_find_field(const struct conf_record *r, const char *name);
void                     conf_env_name(const char *key, char out[CONF_ENV_MAX]);

/* Round two (conf_yaml.c). */
void conf_read_file(const struct conf_load *load, const struct conf_record *root, char *out);

#endif
