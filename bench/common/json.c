#include "json.h"

#include <stdint.h>
#include <string.h>

enum { DEPTH_MAX = 32 };

/* Where in a chunk a value stands; everything not named is elsewhere. */
enum place {
    TOP,
    CHOICES,
    CHOICE,
    DELTA,
    ROLE,
    CONTENT,
    FINISH,
    ERROR,
    USAGE,
    TOKEN,
    MESSAGE_ID,
    TEXT,
    FINISHED,
    ELSEWHERE
};

static const struct step {
    enum place  from;
    const char *key;
    enum place  to;
} steps[] = {
    { TOP, "choices", CHOICES }, { TOP, "error", ERROR },
    { CHOICE, "delta", DELTA },  { CHOICE, "finish_reason", FINISH },
    { CHOICE, "error", ERROR },  { DELTA, "content", CONTENT },
    { DELTA, "role", ROLE },     { TOP, "usage", USAGE },
    { TOP, "token", TOKEN },     { TOP, "messageId", MESSAGE_ID },
    { TOP, "content", TEXT },    { TOP, "finished", FINISHED },
};

struct walk {
    const char        *p, *end;
    unsigned           depth;
    struct chunk_json *out;
};

static int value(struct walk *w, enum place place);

static enum place step_into(enum place from, struct slice key)
{
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i].from == from && strlen(steps[i].key) == key.n &&
            memcmp(steps[i].key, key.p, key.n) == 0)
            return steps[i].to;
    return ELSEWHERE;
}

static void skip_space(struct walk *w)
{
    while (w->p < w->end && (*w->p == ' ' || *w->p == '\t' || *w->p == '\n' || *w->p == '\r'))
        w->p++;
}

static bool take(struct walk *w, char c)
{
    if (w->p == w->end || *w->p != c)
        return false;
    w->p++;
    return true;
}

static int hex(const char *p, unsigned *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i], low = c | 0x20;
        if (c >= '0' && c <= '9')
            *code = *code * 16 + (c - '0');
        else if (low >= 'a' && low <= 'f')
            *code = *code * 16 + (low - 'a') + 10;
        else
            return -1;
    }
    return 0;
}

static int escape(struct walk *w)
{
    unsigned code;

    if (w->p == w->end)
        return -1;
    char c = *w->p++;
    if (c != 'u')
        return strchr("\"\\/bfnrt", c) != NULL && c != '\0' ? 0 : -1;
    if (w->end - w->p < 4 || hex(w->p, &code) < 0)
        return -1;
    w->p += 4;
    return 0;
}

static int string(struct walk *w, struct slice *out)
{
    if (!take(w, '"'))
        return -1;
    *out = (struct slice){ .p = w->p, .here = true };
    while (w->p < w->end) {
        unsigned char c = (unsigned char)*w->p++;
        if (c == '"') {
            out->n = (size_t)(w->p - 1 - out->p);
            return 0;
        }
        if (c < 0x20)
            return -1;
        if (c == '\\') {
            out->escaped = true;
            if (escape(w) < 0)
                return -1;
        }
    }
    return -1;
}

static size_t digits(struct walk *w)
{
    const char *from = w->p;
    while (w->p < w->end && *w->p >= '0' && *w->p <= '9')
        w->p++;
    return (size_t)(w->p - from);
}

static int number(struct walk *w)
{
    take(w, '-');
    bool   zero = w->p < w->end && *w->p == '0';
    size_t n = digits(w);
    if (n == 0 || (zero && n > 1))
        return -1;
    if (take(w, '.') && digits(w) == 0)
        return -1;
    if (take(w, 'e') || take(w, 'E')) {
        if (!take(w, '+'))
            take(w, '-');
        if (digits(w) == 0)
            return -1;
    }
    return 0;
}

static int word(struct walk *w, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(w->end - w->p) < n || memcmp(w->p, text, n) != 0)
        return -1;
    w->p += n;
    return 0;
}

static int object(struct walk *w, enum place place)
{
    struct slice key;

    w->p++;
    skip_space(w);
    if (take(w, '}'))
        return 0;
    do {
        skip_space(w);
        if (string(w, &key) < 0)
            return -1;
        skip_space(w);
        if (!take(w, ':') || value(w, step_into(place, key)) < 0)
            return -1;
    } while (take(w, ','));
    return take(w, '}') ? 0 : -1;
}

static int array(struct walk *w, enum place place)
{
    unsigned n = 0;

    w->p++;
    skip_space(w);
    if (take(w, ']'))
        return 0;
    do {
        enum place item = place == CHOICES && n == 0 ? CHOICE : ELSEWHERE;
        if (value(w, item) < 0)
            return -1;
        n++;
    } while (take(w, ','));
    if (place == CHOICES)
        w->out->choices = n;
    return take(w, ']') ? 0 : -1;
}

static void keep(struct chunk_json *out, enum place place, struct slice s)
{
    if (place == ROLE)
        out->role = s;
    else if (place == CONTENT)
        out->content = s;
    else if (place == FINISH)
        out->finish_reason = s;
    else if (place == TOKEN)
        out->token = s;
    else if (place == TEXT)
        out->text = s;
}

static int kept_number(struct walk *w, enum place place)
{
    struct slice s = { .p = w->p, .here = true };

    if (number(w) < 0)
        return -1;
    s.n = (size_t)(w->p - s.p);
    if (place == MESSAGE_ID)
        w->out->message_id = s;
    return 0;
}

static int truth(struct walk *w, enum place place)
{
    bool is_true = *w->p == 't';

    if (place == FINISHED) {
        w->out->has_finished = true;
        w->out->finished = is_true;
    }
    return word(w, is_true ? "true" : "false");
}

static int any_value(struct walk *w, enum place place)
{
    struct slice s;

    if (place == ERROR && *w->p != 'n')
        w->out->has_error = true;
    if (place == USAGE && *w->p == '{')
        w->out->has_usage = true;
    switch (*w->p) {
    case '{': return object(w, place == CHOICES ? ELSEWHERE : place);
    case '[':
        if (place == CHOICES)
            w->out->has_choices = true;
        return array(w, place == CHOICES ? CHOICES : ELSEWHERE);
    case '"':
        if (string(w, &s) < 0)
            return -1;
        keep(w->out, place, s);
        return 0;
    case 't':
    case 'f': return truth(w, place);
    case 'n': return word(w, "null");
    default: return kept_number(w, place);
    }
}

static int value(struct walk *w, enum place place)
{
    if (++w->depth > DEPTH_MAX)
        return -1;
    skip_space(w);
    if (w->p == w->end || any_value(w, place) < 0)
        return -1;
    skip_space(w);
    w->depth--;
    return 0;
}

int json_read_chunk(const char *text, size_t length, struct chunk_json *out)
{
    struct walk w = { .p = text, .end = text + length, .out = out };

    memset(out, 0, sizeof *out);
    if (value(&w, TOP) < 0 || w.p != w.end)
        return -1;
    return 0;
}

/* Words are ASCII, so one byte for a \u escape is enough; another code point becomes '?',
 * which no question holds. */
long json_unescape(struct slice s, char *out, size_t room)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    size_t            n = 0;

    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\') {
            c = s.p[++i];
            if (c == 'u') {
                unsigned code;
                if (hex(s.p + i + 1, &code) < 0)
                    return -1;
                c = code < 128 ? (char)code : '?';
                i += 4;
            } else {
                c = to[strchr(from, c) - from];
            }
        }
        if (n == room)
            return -1;
        out[n++] = c;
    }
    return (long)n;
}
