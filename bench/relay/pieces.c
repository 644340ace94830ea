#include "pieces.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_HEAD                                                                        \
    "HTTP/1.1 200 OK\r\nDate: Sat, 01 Nov 2025 12:00:00 GMT\r\n"                           \
    "Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"     \
    "Connection: keep-alive\r\nCache-Control: no-cache\r\nx-request-id: req_7c1d5b2f\r\n\r\n"
#define CHUNK_START                                                                        \
    "{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":"                       \
    "\"chat.completion.chunk\",\"created\":1741570283,\"model\":\"gpt-4o-2024-08-06\","    \
    "\"service_tier\":\"default\",\"system_fingerprint\":\"fp_fc9f1d7035\",\"choices\":["
#define DELTA_START "{\"index\":0,\"delta\":{"
#define NO_FINISH   "},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null}"
#define USAGE_FORM                                                                         \
    "],\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":%" PRIu32                     \
    ",\"total_tokens\":%" PRIu32 "}}"

#define WHOLE_HEAD                                                                         \
    "HTTP/1.1 200 OK\r\nDate: Sat, 01 Nov 2025 12:00:00 GMT\r\n"                           \
    "Content-Type: application/json\r\nContent-Length: %zu\r\n"                            \
    "Connection: keep-alive\r\nx-request-id: req_7c1d5b2f\r\n\r\n%s"
#define WHOLE_FORM                                                                         \
    "{\"id\":\"chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG\",\"object\":"                       \
    "\"chat.completion\",\"created\":1741570283,\"model\":\"gpt-4o-2024-08-06\","          \
    "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%s\","    \
    "\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"                    \
    "\"usage\":{\"prompt_tokens\":19,\"completion_tokens\":%" PRIu32                       \
    ",\"total_tokens\":%" PRIu32 "}}"

enum { CALL_TOKENS = 5 };

static struct piece start_piece, first_piece, word_piece, end_piece, whole_piece, call_piece;

/* One event as one chunk; the number of bytes. */
static size_t write_event(char *out, const char *data)
{
    return (size_t)sprintf(out, "%zx\r\ndata: %s\n\n\r\n", strlen(data) + 8, data);
}

static void make_word_piece(struct piece *p, const char *before)
{
    char data[PIECE_MAX / 2];

    snprintf(data, sizeof data, CHUNK_START DELTA_START "\"content\":\"%s\a%*s\"" NO_FINISH, before,
             WORD_LETTERS + STAMP_LETTERS - 1, "");
    p->n = write_event(p->bytes, data);
    p->word_at = (size_t)(strchr(p->bytes, '\a') - p->bytes);
}

static char *write_end(char *p, const char *reason, uint32_t tokens)
{
    char data[PIECE_MAX / 2];

    snprintf(data, sizeof data,
             CHUNK_START DELTA_START
             "},\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":null}",
             reason);
    p += write_event(p, data);
    snprintf(data, sizeof data, CHUNK_START USAGE_FORM, tokens, tokens + 19);
    p += write_event(p, data);
    p += write_event(p, "[DONE]");
    return p + sprintf(p, "0\r\n\r\n");
}

void pieces_make(void)
{
    start_piece.n = (size_t)sprintf(start_piece.bytes, ANSWER_HEAD);
    start_piece.n +=
        write_event(start_piece.bytes + start_piece.n, CHUNK_START DELTA_START
                    "\"role\":\"assistant\",\"content\":\"\",\"refusal\":null" NO_FINISH);
    make_word_piece(&first_piece, "");
    make_word_piece(&word_piece, " ");
}

const struct piece *piece_of_start(void)
{
    return &start_piece;
}

const struct piece *piece_of_word(struct question q, uint32_t i, uint64_t ns)
{
    struct piece *p = i == 0 ? &first_piece : &word_piece;

    question_word(q, i, p->bytes + p->word_at);
    stamp_write(ns, p->bytes + p->word_at + WORD_LETTERS);
    return p;
}

const struct piece *piece_of_end(uint32_t words)
{
    end_piece.n = (size_t)(write_end(end_piece.bytes, "stop", words) - end_piece.bytes);
    return &end_piece;
}

const struct piece *piece_of_call(uint32_t words)
{
    char *p = call_piece.bytes;

    p += write_event(
        p, CHUNK_START DELTA_START
        "\"tool_calls\":[{\"index\":0,\"id\":\"call_q7Xb\",\"type\":"
        "\"function\",\"function\":{\"name\":\"now\",\"arguments\":\"{}\"}}]" NO_FINISH);
    call_piece.n = (size_t)(write_end(p, "tool_calls", words + CALL_TOKENS) - call_piece.bytes);
    return &call_piece;
}

const struct piece *piece_of_whole(struct question q, uint64_t ns)
{
    char  text[PIECE_MAX / 4], body[PIECE_MAX / 2 + sizeof text];
    char *p = text;

    if (q.words > (sizeof text - 1) / (WORD_LETTERS + STAMP_LETTERS + 1))
        return NULL;
    for (uint32_t i = 0; i < q.words; i++) {
        if (i > 0)
            *p++ = ' ';
        question_word(q, i, p);
        stamp_write(ns, p + WORD_LETTERS);
        p += WORD_LETTERS + STAMP_LETTERS;
    }
    *p = '\0';
    size_t n = (size_t)snprintf(body, sizeof body, WHOLE_FORM, text, q.words, q.words + 19);
    whole_piece.n = (size_t)snprintf(whole_piece.bytes, PIECE_MAX, WHOLE_HEAD, n, body);
    return &whole_piece;
}
