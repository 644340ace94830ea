/* settings_assistant.c - the rows of the assistant's door, and which model a question goes to. */
#include "base/settings_rows.h"

#include <stdio.h>

static const char *const no_yes[] = { "false", "true", NULL };
static const char *const leavings[] = { "cancel", "drain", "detach", NULL };

/* ---- plugins ---------------------------------------------------------------------------- */

static bool is_word(struct str s)
{
    return s.n > 0 && s.n <= 200;
}

static const struct conf_field plugin_rows[] = {
    TEXT("name", plugin_settings, name, NULL, settings_is_name, "a name without spaces",
         "What it is called."),
    TEXT("description", plugin_settings, description, "", NULL, NULL, "What it is for."),
    TEXT("version", plugin_settings, version, "1.0.0", settings_is_visible, "visible ASCII",
         "Shown in the list of plugins."),
    TEXT("author", plugin_settings, author, "", NULL, NULL, "The same."),
    TEXTS("capabilities", plugin_settings, capabilities, is_word, "1 to 200 bytes", "The same."),
    TEXTS("keywords", plugin_settings, keywords, is_word, "1 to 200 bytes",
          "A question with one of these is for it; none: those of the usual plugins, by name."),
    TEXT("prompt", plugin_settings, prompt, "", NULL, NULL,
         "What the model is told when a question is for it."),
    CHOICE("enabled", plugin_settings, enabled, "true", no_yes,
           "Whether it is at work until somebody says otherwise."),
    END
};
static const struct conf_record plugin_record = {
    .fields = plugin_rows,
    .size = sizeof(struct plugin_settings),
    .line_offset = offsetof(struct plugin_settings, line),
};

/* ---- the door ----------------------------------------------------------------------------- */

static const struct conf_field assistant_rows[] = {
    TEXT("local_model", assistant_settings, local_model, "", NULL, NULL,
         "The model for what is easy; empty: the first of class local_small."),
    TEXT("cloud_model", assistant_settings, cloud_model, "", NULL, NULL,
         "The model for what is not; empty: the first of class cloud_large. Each stands in for "
         "the other."),
    CHOICE("event_stream", assistant_settings, event_stream, "false", no_yes,
           "Whether streams are text/event-stream for everybody; else for who accepts that by "
           "name, and text/plain for others."),
    CHOICE("done_marker", assistant_settings, done_marker, "false", no_yes,
           "Whether a stream ends with data: [DONE]."),
    CHOICE("on_leave", assistant_settings, on_leave, "cancel", leavings,
           "When the last reader of an answer leaves: cancel stops the provider, drain lets it "
           "finish within turns.drain_time and turns.drain_tokens, detach in full."),
    COUNT("remembers", assistant_settings, remembers, "10", 0, 400,
          "With so many questions and answers of the session a question is asked."),
    COUNT("max_tokens", assistant_settings, max_tokens, "1024", 1, 10000000,
          "How long an answer may be where the question does not say."),
    COUNT("max_tasks", assistant_settings, max_tasks, "1000", 1, 100000,
          "Without a database tasks are kept in memory; beyond so many the oldest is "
          "forgotten."),
    TIME("status_every", assistant_settings, status_every, "5s", 100, 3600,
         "How often /ws/system tells how the service is."),
    RECORDS("plugins", assistant_settings, plugins, plugin_record, "",
            "What questions may be for, beside talk."),
    END
};
const struct conf_record settings_assistant_record = { .fields = assistant_rows };

/* ---- routing ------------------------------------------------------------------------------ */

static const char *const sides[] = { "local_small", "cloud_large", NULL };

static const struct conf_field rule_rows[] = {
    TEXT("name", routing_rule, name, NULL, settings_is_name, "a name without spaces",
         "What it is called."),
    TEXTS("keywords", routing_rule, keywords, is_word, "1 to 200 bytes",
          "It fits a question that has one of these..."),
    COUNT("shorter_than", routing_rule, shorter_than, "0", 0, 1000000,
          "...or fewer characters; 0: of any length..."),
    COUNT("longer_than", routing_rule, longer_than, "0", 0, 1000000,
          "...or more characters; 0: of any length. Without all three it fits any question."),
    CHOICE("class", routing_rule, is_cloud, NULL, sides, "Which model answers."),
    TEXT("reason", routing_rule, reason, "", NULL, NULL, "What the assistant's clients read."),
    END
};
static const struct conf_record rule_record = {
    .fields = rule_rows,
    .size = sizeof(struct routing_rule),
    .line_offset = offsetof(struct routing_rule, line),
};

static const struct conf_field routing_rows[] = {
    RECORDS("rules", routing_settings, rules, rule_record, "",
            "Which class of models answers a question to the model auto: the first rule that "
            "fits. None: news to cloud_large, small talk and fewer than 20 characters to "
            "local_small, all else to cloud_large."),
    END
};
const struct conf_record settings_routing_record = { .fields = routing_rows };

/* ---- what only the whole can tell ------------------------------------------------------- */

void settings_check_model(const struct conf_load *load, const struct settings *s, struct str name,
                          const char *key)
{
    const struct model_settings *m = s->models.items;

    if (!name.n)
        return;
    for (size_t i = 0; i < s->models.n; i++)
        if (str_eq(m[i].name, name))
            return;
    conf_mistake(load, 0, key, "there is no model named \"%s\"", name.p);
}

static void check_plugins(const struct conf_load *load, const struct conf_records *all)
{
    const struct plugin_settings *p = all->items;
    char                          key[64];

    for (size_t i = 0; i < all->n; i++)
        for (size_t j = 0; j < i; j++)
            if (p[i].name.n && str_eq(p[i].name, p[j].name)) {
                snprintf(key, sizeof key, "dialects.assistant.plugins[%zu].name", i);
                conf_mistake(load, p[i].line, key, "\"%s\" is the name of plugins[%zu] already",
                             p[i].name.p, j);
            }
}

void settings_check_assistant(const struct conf_load *load, const struct settings *s)
{
    settings_check_model(load, s, s->assistant.local_model, "dialects.assistant.local_model");
    settings_check_model(load, s, s->assistant.cloud_model, "dialects.assistant.cloud_model");
    check_plugins(load, &s->assistant.plugins);
}
