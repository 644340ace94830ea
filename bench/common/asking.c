#define _GNU_SOURCE /* getline */
#include "asking.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEAD_ROOM = 2048, ASKER_MAX = 1024 };

#define BODY_MIDDLE "\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\""
#define BODY_USAGE  ",\"stream_options\":{\"include_usage\":true}"

/* ---- askers ------------------------------------------------------------------------ */

static const char *add_asker(struct asking *a, const char *line)
{
    struct asker *more = realloc(a->askers, (a->n_askers + 1) * sizeof *more);
    char         *copy = strdup(line);

    if (more == NULL || copy == NULL)
        abort();
    a->askers = more;
    copy[strcspn(copy, "\r\n")] = '\0';
    char *blank = strchr(copy, ' ');
    if (blank != NULL)
        *blank = '\0';
    more[a->n_askers++] = (struct asker){ copy, blank != NULL ? blank + 1 : NULL };
    if (*copy == '\0' || strlen(line) > ASKER_MAX)
        return "an asker has one bearer, and not too long a one";
    if ((a->door == ANSWER_XCX) != (blank != NULL && blank[1] != '\0'))
        return "askers have a conversation at the mini-program's door, and only there";
    return NULL;
}

const char *asking_read_askers(struct asking *a, const char *file)
{
    FILE       *f = fopen(file, "re");
    char       *line = NULL;
    size_t      cap = 0;
    const char *wrong = NULL;

    if (f == NULL)
        return "it cannot be opened";
    while (wrong == NULL && getline(&line, &cap, f) > 0)
        wrong = add_asker(a, line);
    free(line);
    fclose(f);
    return wrong == NULL && a->n_askers == 0 ? "nobody is in it" : wrong;
}

static const struct asker *asker_of(const struct asking *a, struct question q)
{
    return a->n_askers > 0 ? &a->askers[q.number % a->n_askers] : NULL;
}

/* ---- requests ---------------------------------------------------------------------- */

size_t asking_room(const struct asking *a, uint32_t words)
{
    return (size_t)words * (WORD_LETTERS + 1) + strlen(a->model) + HEAD_ROOM + ASKER_MAX;
}

static size_t write_content(struct question q, char *text)
{
    if (q.stamped)
        return (size_t)sprintf(text, "%" PRIu32 " %" PRIu32, q.number, q.words);
    question_write(q, text);
    return question_length(q);
}

static size_t write_body(const struct asking *a, struct question q, char *out)
{
    size_t n;

    if (a->door == ANSWER_XCX) {
        n = (size_t)sprintf(out, "{\"chatId\":%s,\"content\":\"", asker_of(a, q)->chat);
        n += write_content(q, out + n);
        return n + (size_t)sprintf(out + n, "\"}");
    }
    if (a->door == ANSWER_DBGPT) {
        n = (size_t)sprintf(out, "{\"model\":\"%s\",\"stream\":true,\"messages\":\"", a->model);
        n += write_content(q, out + n);
        return n + (size_t)sprintf(out + n, "\"}");
    }
    if (a->door == ANSWER_ASSISTANT) {
        n = (size_t)sprintf(out, "{\"preferred_model\":\"%s\",\"message\":\"", a->model);
        n += write_content(q, out + n);
        return n + (size_t)sprintf(out + n, "\"}");
    }
    n = (size_t)sprintf(out, "{\"model\":\"%s" BODY_MIDDLE, a->model);
    n += write_content(q, out + n);
    return n + (size_t)sprintf(out + n, "\"}]%s}", q.stamped ? BODY_USAGE : "");
}

static size_t write_head(const struct asking *a, struct question q, size_t length, char *out)
{
    static const char *const paths[] = { [ANSWER_OPENAI] = "/v1/chat/completions",
                                         [ANSWER_XCX] = "/api/xcx/chat/stream",
                                         [ANSWER_DBGPT] = "/api/v2/chat/completions",
                                         [ANSWER_ASSISTANT] = "/api/v1/chat/stream" };
    const struct asker      *asker = asker_of(a, q);
    size_t                   n;

    n = (size_t)sprintf(out, "POST %s HTTP/1.1\r\nHost: %s\r\n", paths[a->door], a->host);
    if (asker != NULL)
        n += (size_t)sprintf(out + n, "Authorization: Bearer %s\r\n", asker->bearer);
    if (a->once != NULL)
        n += (size_t)sprintf(out + n, "Idempotency-Key: %s%" PRIu32 "\r\n", a->once, q.number);
    if (a->fields != NULL)
        n += (size_t)sprintf(out + n, "%s", a->fields);
    return n + (size_t)sprintf(out + n,
                               "Content-Type: application/json\r\nAccept: text/event-stream\r\n"
                               "Content-Length: %zu\r\n\r\n",
                               length);
}

/* The body is written where the longest head ends, and the head up to it. */
size_t asking_write(const struct asking *a, struct question q, char *room, size_t *from)
{
    char   head[HEAD_ROOM];
    size_t body_n = write_body(a, q, room + HEAD_ROOM);
    size_t head_n = write_head(a, q, body_n, head);

    *from = HEAD_ROOM - head_n;
    memcpy(room + *from, head, head_n);
    return head_n + body_n;
}
