#include "turn/tool_text.h"

#include "base/json.h"
#include "tool/tool.h"

enum { NO_LIMIT_OF_OURS = 1 << 30 };

static void add_member(const char *name, struct str value, struct buf *out)
{
    buf_addf(out, ",\"%s\":", name);
    json_add_str(out, value);
}

static void begin(const char *type, struct str before, struct str tool, struct str behind,
                  struct buf *out)
{
    struct buf message = BUF(NO_LIMIT_OF_OURS);

    buf_add(&message, before);
    buf_add(&message, tool);
    buf_add(&message, behind);
    buf_addf(out, "{\"type\":\"%s\"", type);
    add_member("message", buf_str(&message), out);
    buf_release(&message);
}

void tool_text_error(struct str before, struct str tool, struct str behind, struct str words,
                     struct buf *out)
{
    begin("error", before, tool, behind, out);
    add_member("error", words, out);
    buf_lit(out, ",\"details\":null}");
}

void tool_text_started(struct str operation, struct str tool, struct buf *out)
{
    begin("operation_started", STR(""), tool,
          STR(" has begun and goes on in the background. What it comes to will be told in this "
              "conversation, without anybody asking again."),
          out);
    add_member("operation_id", operation, out);
    add_member("tool_name", tool, out);
    buf_lit(out, "}");
}

void tool_text_in_progress(struct str call, struct str tool, struct buf *out)
{
    begin("operation_in_progress", STR(""), tool,
          STR(" is at exactly this already. What it comes to will be told in this conversation."),
          out);
    add_member("tool_call_id", call, out);
    add_member("tool_name", tool, out);
    buf_lit(out, "}");
}

void tool_text_output(struct str tool, size_t limit, bool success, struct str words,
                      struct buf *out)
{
    struct buf cut = BUF(NO_LIMIT_OF_OURS);

    tool_cut(&(struct tool){ .output_limit = limit }, words, &cut);
    if (!success)
        tool_text_error(STR("An error occurred while executing "), tool, STR(""), buf_str(&cut),
                        out);
    else if (cut.n)
        buf_add(out, buf_str(&cut));
    else
        buf_lit(out, "{}");
    buf_release(&cut);
}

void tool_text_news(struct str operation, struct str tool, bool success, struct str output,
                    struct buf *out)
{
    buf_lit(out, "[This is no message of the user's. The operation ");
    buf_add(out, operation);
    buf_lit(out, " of the tool ");
    buf_add(out, tool);
    if (success)
        buf_lit(out, " has completed. Tell the user what it came to:]\n");
    else
        buf_lit(out, " has failed. Tell the user what went wrong:]\n");
    buf_add(out, output);
}
