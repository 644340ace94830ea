#include "api/openai_refusal.h"

#include "api/openai_dialect.h"
#include "base/utf8.h"

void openai_refuse(struct http_exchange *x, int status, const char *message, const char *param,
                   const char *code)
{
    struct buf body = BUF(8192);

    openai_write_error(&body, status, message, param && *param ? param : NULL, code);
    http_answer(x, &(struct http_answer){ status, STR("application/json"),
                                          STR("x-should-retry: false\r\n"), buf_str(&body) });
    buf_release(&body);
}

void openai_refuse_model(struct http_exchange *x, struct str name, const char *param)
{
    struct buf message = BUF(512);

    name = utf8_clip(name, 200);
    buf_addf(&message, "the model '%.*s' does not exist", STR_ARG(name));
    buf_add_char(&message, '\0');
    openai_refuse(x, 404, message.p, param, "model_not_found");
    buf_release(&message);
}
