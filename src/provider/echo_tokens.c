#include "provider/echo_tokens.h"

#include "base/utf8.h"

enum { TOKEN_MAX = 32 };

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_ascii(char c)
{
    return (unsigned char)c < 0x80;
}

size_t echo_token_length(struct str text)
{
    size_t n = 0;

    if (text.n && !is_ascii(text.p[0])) {
        n = utf8_length(text);
        return n ? n : 1;
    }
    while (n < text.n && n < TOKEN_MAX && is_space(text.p[n]))
        n++;
    while (n < text.n && n < TOKEN_MAX && is_ascii(text.p[n]) && !is_space(text.p[n]))
        n++;
    return n;
}

uint64_t echo_token_count(struct str text)
{
    uint64_t n = 0;

    for (; text.n; n++)
        text = str_from(text, echo_token_length(text));
    return n;
}
