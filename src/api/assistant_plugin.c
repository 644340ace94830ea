#include "api/assistant_plugin.h"

#include "base/common.h"

#include <string.h>

enum { SWITCHED_MAX = 64, NAME_MAX = 100 };

/* ---- words -------------------------------------------------------------------------------- */

#define WORDS(list) { (struct str *)list, sizeof list / sizeof *list }

static const struct str weather[] = { STR_INIT("天气"), STR_INIT("温度"), STR_INIT("下雨") };
static const struct str music[] = { STR_INIT("音乐"), STR_INIT("歌曲"), STR_INIT("播放") };
static const struct str files[] = { STR_INIT("文件"), STR_INIT("保存"), STR_INIT("读取") };

static const struct {
    struct str        name;
    struct conf_texts words;
} usual[] = {
    { STR_INIT("weather_plugin"), WORDS(weather) },
    { STR_INIT("music_plugin"), WORDS(music) },
    { STR_INIT("file_manager_plugin"), WORDS(files) },
};

static struct conf_texts words_of(const struct plugin_settings *p)
{
    for (size_t i = 0; !p->keywords.n && i < sizeof usual / sizeof *usual; i++)
        if (str_eq(usual[i].name, p->name))
            return usual[i].words;
    return p->keywords;
}

static bool is_meant(const struct plugin_settings *p, struct str text)
{
    struct conf_texts words = words_of(p);

    for (size_t i = 0; text.n && i < words.n; i++)
        if (memmem(text.p, text.n, words.items[i].p, words.items[i].n))
            return true;
    return false;
}

const struct plugin_settings *assistant_plugin_for(const struct assistant_settings *s,
                                                   struct str                       text)
{
    const struct plugin_settings *p = s->plugins.items;

    for (size_t i = 0; i < s->plugins.n; i++)
        if (assistant_plugin_works(&p[i]) && is_meant(&p[i], text))
            return &p[i];
    return NULL;
}

/* ---- on and off ----------------------------------------------------------------------------- */

/* By name, as the settings may be read again. Where processes share it, one is complete
 * before it is counted. */
struct switched {
    char   name[NAME_MAX];
    size_t n;
    bool   works;
};

static struct switches {
    size_t          n;
    struct switched all[SWITCHED_MAX];
} own, *switches = &own;

void assistant_plugins_share(void)
{
    switches = common_new(sizeof *switches);
}

static struct switched *find(struct str name)
{
    for (size_t i = 0; i < switches->n; i++)
        if (str_eq(name, (struct str){ switches->all[i].name, switches->all[i].n }))
            return &switches->all[i];
    return NULL;
}

bool assistant_plugin_works(const struct plugin_settings *p)
{
    const struct switched *s = find(p->name);

    return s ? s->works : p->enabled != 0;
}

static bool is_there(const struct assistant_settings *s, struct str name)
{
    const struct plugin_settings *p = s->plugins.items;

    for (size_t i = 0; i < s->plugins.n; i++)
        if (str_eq(p[i].name, name))
            return true;
    return false;
}

bool assistant_plugin_switch(const struct assistant_settings *s, struct str name, bool works)
{
    struct switched *one = find(name);

    if (!is_there(s, name) || name.n > NAME_MAX || (!one && switches->n == SWITCHED_MAX))
        return false;
    if (one) {
        one->works = works;
        return true;
    }
    one = &switches->all[switches->n];
    memcpy(one->name, name.p, name.n);
    one->n = name.n;
    one->works = works;
    switches->n++;
    return true;
}
