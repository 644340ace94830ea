/* assistant_plugin.h - what questions may be for, beside talk (dialects.assistant.plugins).
 *
 * A plugin is words that speak of it and what the model is told then. Somebody may switch one
 * off, for everybody who is served by this program, until it ends.
 */
#ifndef API_ASSISTANT_PLUGIN_H
#define API_ASSISTANT_PLUGIN_H

#include "base/settings.h"

/* The one that a question is for, if it is at work; or NULL. */
const struct plugin_settings *assistant_plugin_for(const struct assistant_settings *s,
                                                   struct str                       text);

/* From now on all processes that are forked switch together. */
void assistant_plugins_share(void);

bool assistant_plugin_works(const struct plugin_settings *p);

/* False: there is none of that name, or too many were switched. */
bool assistant_plugin_switch(const struct assistant_settings *s, struct str name, bool works);

#endif
