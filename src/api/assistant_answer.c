#include "api/assistant_answer.h"

#include "api/api.h"
#include "api/guard.h"
#include "base/clock.h"
#include "base/json.h"

#include <string.h>

const char assistant_not_ready[] = "服务未就绪";

bool assistant_is_path(struct str path)
{
    static const struct str whole[] = {
        STR_INIT("/api/v1/chat"),     STR_INIT("/api/v1/chat/stream"), STR_INIT("/api/v1/tasks"),
        STR_INIT("/api/v1/sessions"), STR_INIT("/api/v1/plugins"),     STR_INIT("/ws/chat"),
        STR_INIT("/ws/system"),
    };
    static const struct str above[] = {
        STR_INIT("/api/v1/tasks/"),  STR_INIT("/api/v1/sessions/"), STR_INIT("/api/v1/plugins/"),
        STR_INIT("/api/v1/memory/"), STR_INIT("/api/v1/system/"),   STR_INIT("/api/v1/config/"),
    };

    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (str_eq(path, whole[i]))
            return true;
    for (size_t i = 0; i < sizeof above / sizeof *above; i++)
        if (str_starts(path, above[i]))
            return true;
    return false;
}

/* Those who are not let in read it in the words that they know. */
static const char *words_for(int status, const char *why)
{
    if (status != 401)
        return why;
    if (strcmp(why, guard_wants_key) == 0)
        return "缺少认证信息";
    return strcmp(why, guard_wants_bearer) == 0 ? "认证格式错误" : "认证信息无效";
}

void assistant_write_refusal(struct buf *out, int status, const char *why)
{
    buf_lit(out, "{\"detail\":");
    json_add_str(out, str_of(words_for(status, why)));
    buf_lit(out, "}");
}

void assistant_refuse(struct http_exchange *x, int status, const char *why)
{
    http_refuse(x, status, why, status == 503 ? STR("retry-after: 1\r\n") : STR(""));
}

void assistant_add_time(struct buf *out, int64_t micros)
{
    char text[CLOCK_ISO_SIZE];

    clock_iso(micros, text);
    json_add_str(out, str_of(text));
}

void assistant_write_problem(const struct assistant_problem *p, int64_t micros, struct buf *out)
{
    buf_lit(out,
            "{\"error\":{\"code\":\"INVALID_REQUEST\",\"message\":\"请求参数无效\",\"details\":{"
            "\"field\":");
    json_add_str(out, str_of(p->field));
    buf_lit(out, ",\"reason\":");
    json_add_str(out, str_of(p->reason));
    buf_lit(out, "}},\"detail\":[{\"type\":\"value_error\",\"loc\":[\"body\"");
    if (strcmp(p->field, "body") != 0) {
        buf_lit(out, ",");
        json_add_str(out, str_of(p->field));
    }
    buf_lit(out, "],\"msg\":");
    json_add_str(out, str_of(p->reason));
    buf_lit(out, "}],\"timestamp\":");
    assistant_add_time(out, micros);
    buf_lit(out, "}");
}

void assistant_refuse_value(struct http_exchange *x, const struct assistant_problem *p)
{
    struct buf body = BUF(8192);

    assistant_write_problem(p, clock_wall_ms() * 1000, &body);
    api_answer_json(x, 400, buf_str(&body));
    buf_release(&body);
}

void assistant_add_state(struct buf *out, enum kept_state state)
{
    if (state == KEPT_COMPLETE)
        return;
    buf_addf(out, "\"state\":\"%s\"", kept_state_name(state));
    if (state != KEPT_STREAMING)
        buf_lit(out, ",\"interrupted\":true");
}
