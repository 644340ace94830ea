/* settings.h - everything an operator can decide. The rows are in settings.c. */
#ifndef BASE_SETTINGS_H
#define BASE_SETTINGS_H

#include "base/conf.h"

struct http_settings {
    uint64_t          max_connections, max_requests_per_connection;
    uint64_t          max_header_bytes, max_headers, max_uri_bytes, max_body_bytes;
    uint64_t          header_timeout, body_timeout, idle_timeout, write_timeout, linger_timeout;
    struct conf_texts trusted_proxies;
    struct str        request_id_header;
    struct conf_texts cors_origins;
};

struct stream_settings {
    uint64_t commit_after, heartbeat;         /* ns                             */
    uint64_t queue_bytes;
};

struct websocket_settings {
    uint64_t max_message_bytes;
    uint64_t max_frames;                      /* within a second                */
    uint64_t ping_every, pong_timeout, message_timeout, idle_timeout; /* ns    */
};

struct turn_settings {
    uint64_t max_running, max_waiting;
    uint64_t max_wait, max_pause, max_time;   /* ns                             */
    uint64_t max_rounds;
    uint64_t max_answer_bytes;
    uint64_t answer_tokens;
    uint64_t trace_every;                     /* events; 0: no traces           */
    uint64_t drain_time, drain_tokens;        /* ns                             */
    uint64_t journal_every;                   /* ns                             */
    uint64_t journal_bytes;
    uint64_t journal_keep, key_keep, lease, save_wait;        /* ns                  */
};

/* What becomes of an answer when its last reader has left. */
enum leaving { LEAVING_CANCELS, LEAVING_DRAINS, LEAVING_DETACHES };

struct openai_settings {
    int on_leave;                             /* enum leaving                   */
};

/* The operator's own queries, about what a conversation is about (store/lookup.h). */
struct lookup_settings {
    struct conf_records pages, cards, names;  /* struct query_settings          */
    uint64_t            page_bytes;
    uint64_t            timeout;              /* ns                             */
};

struct query_settings {
    int        line;
    struct str of;                            /* a page, or the type of a context */
    struct str type;                          /* of a card                      */
    struct str sql;
};

struct wechat_settings {
    struct str app_id, app_secret;            /* empty: no log-in               */
    struct str base_url, ca_file;
    struct str tenant;                        /* of those who log in            */
    uint64_t   timeout;                       /* ns                             */
    int        new_accounts;                  /* enum wechat_new                */
    uint64_t   token_lifetime;                /* ns                             */
    uint64_t   refresh_lifetime;              /* ns; 0: no such tokens          */
};
enum wechat_new { WECHAT_NEW_AS_ACCESS, WECHAT_NEW_PENDING, WECHAT_NEW_APPROVED };

struct xcx_settings {
    struct str             model; /* empty: the first one           */
    int                    wrap_responses, ascii;
    int                    on_leave; /* enum leaving                   */
    uint64_t               reuse_customer, reuse_coach, reuse_general; /* ns             */
    struct lookup_settings lookups;
    int                    dev_login;
    int                    content_check;
    int                    content_check_failing; /* enum content_check_failing     */
    struct wechat_settings wechat;
};

/* What a person may be told to have asked a tool for: words that speak of it, and what the model
 * is told then. */
struct plugin_settings {
    int               line;
    struct str        name, description, version, author, prompt;
    struct conf_texts keywords, capabilities;
    int               enabled;
};

struct assistant_settings {
    struct str          local_model, cloud_model;   /* empty: the first of its class */
    int                 event_stream, done_marker;
    int                 on_leave;             /* enum leaving                   */
    uint64_t            remembers;            /* turns                          */
    uint64_t            max_tokens;           /* of whoever asks for no limit   */
    uint64_t            max_tasks;
    uint64_t            status_every;         /* ns                             */
    struct conf_records plugins;              /* struct plugin_settings         */
};

/* Fits when any of its words stands in a question, or its length does; without words and
 * lengths, always. */
struct routing_rule {
    int               line;
    struct str        name;
    struct conf_texts keywords;
    uint64_t          shorter_than, longer_than;      /* characters; 0: of any length */
    int               is_cloud;
    struct str        reason;
};

struct routing_settings {
    struct conf_records rules;                /* struct routing_rule; none: the usual ones */
};

enum content_check_failing { CONTENT_CHECK_FAILS_OPEN, CONTENT_CHECK_FAILS_CLOSED };

struct dbgpt_settings {
    struct conf_texts api_keys;               /* none: the guard's own decide   */
    int               language;               /* enum dbgpt_language            */
    int               stream_default;
    int               incremental_form;       /* enum dbgpt_form                */
    int               extra_members;
    int               on_leave;               /* enum leaving                   */
};
enum dbgpt_language { DBGPT_EN, DBGPT_ZH };
enum dbgpt_form { DBGPT_TEXT, DBGPT_JSON };

struct session_settings {
    struct str        model, title_model;     /* empty: the first one; no titles */
    struct str        prompt;                 /* before every conversation      */
    int               on_leave;               /* enum leaving                   */
    uint64_t          remembers;              /* messages; 0: all that it may   */
    uint64_t          max_message;            /* characters                     */
    uint64_t          heartbeat, stream_ttl;  /* ns                             */
    uint64_t          max_running, max_in_flight;     /* of one owner; 0: any number */
    struct conf_texts service_keys;
};

struct provider_settings {
    int               line;
    struct str        name;
    int               kind; /* enum provider_kind             */
    struct str        base_url, proxy, ca_file;
    struct str        api_key, api_secret, app_id, workspace, api_version;
    struct conf_texts more_keys, headers;
    struct str        extra;                  /* a JSON object                  */
    uint64_t          max_streams; /* 0: no limit                    */
    uint64_t          max_waiting;
    uint64_t          max_connections;
    uint64_t connect_timeout, tls_timeout, first_timeout, idle_timeout, keep_timeout; /* ns */
    uint64_t retries, retry_pause, longest_retry_pause;     /* ns, but for the first */
    uint64_t breaker_failures;  /* 0: never                       */
    uint64_t breaker_time;      /* ns                             */
    uint64_t tokens_per_second; /* echo; 0: as fast as it goes    */
};
enum provider_kind {
    PROVIDER_ECHO,
    PROVIDER_OPENAI,
    PROVIDER_DASHSCOPE,
    PROVIDER_SPARK,
    PROVIDER_ANTHROPIC,
    PROVIDER_OLLAMA,
};

struct target_settings {
    int        line;
    struct str provider, model;
    uint64_t   weight;
    uint64_t   max_streams;                   /* 0: no limit                    */
};

enum model_class {
    MODEL_LOCAL_SMALL,
    MODEL_LOCAL_LARGE,
    MODEL_CLOUD_SMALL,
    MODEL_CLOUD_LARGE,
};

struct tool_settings {
    int               line;
    struct str        name;
    int               kind;                   /* enum tool_kind                 */
    struct str        url, description, ca_file;
    struct str        parameters;             /* a JSON schema                  */
    int               method;                 /* enum tool_method               */
    struct conf_texts headers, allow, only;
    uint64_t          timeout;                /* ns                             */
    uint64_t          max_output_bytes;
    int               alone;
    int               background;
    uint64_t          operation_ttl;          /* ns                             */
};
enum tool_kind { TOOL_HTTP, TOOL_MCP };
enum tool_method { TOOL_GET, TOOL_POST, TOOL_PUT, TOOL_PATCH, TOOL_DELETE };
extern const char *const settings_builtin_tools[];    /* ends with NULL          */

struct model_settings {
    int        line;
    struct str name;
    int class; /* enum model_class               */
    uint64_t            context_tokens;
    int                 compact;              /* also what clients bring        */
    struct str          prompt_price, completion_price;
    struct conf_records targets;              /* struct target_settings         */
    struct conf_texts   tools;                /* it may use                     */
    int                 tenant_tools;         /* and those of its asker's tenant */
};

struct database_settings {
    struct str url;                           /* empty: there is none           */
    uint64_t   connections, max_waiting;
    uint64_t   connect_timeout;               /* ns                             */
    int        prepares, notifies;
};

struct access_settings {
    int               jwt_algorithm;          /* enum access_algorithm          */
    struct str        jwt_key, jwt_key_file;  /* the key is here, also if it was in the file */
    struct str        jwt_issuer, jwt_audience, jwt_tenant_claim;
    struct conf_texts keys;
    int               new_accounts;           /* enum access_new                */
    uint64_t          cache;                  /* ns                             */
    uint64_t          max_failures;           /* a minute, of an address; 0: any */
};
enum access_algorithm { ACCESS_HS256, ACCESS_RS256, ACCESS_ES256 };
enum access_new { ACCESS_PENDING, ACCESS_APPROVED };

struct settings {
    struct arena              arena; /* all of the below lives here    */
    struct str                listen, workers, pid_file;
    int                       log_level, log_format;
    struct http_settings      http;
    struct stream_settings    stream;
    struct websocket_settings websocket;
    struct turn_settings      turns;
    struct database_settings  database;
    struct access_settings    access;
    struct openai_settings    openai;
    struct xcx_settings       xcx;
    struct dbgpt_settings     dbgpt;
    struct assistant_settings assistant;
    struct session_settings   session;
    struct routing_settings   routing;
    uint64_t                  drain_seconds; /* ns                             */
    struct conf_records       providers;     /* struct provider_settings       */
    struct conf_records       models;        /* struct model_settings          */
    struct conf_records       tools;         /* struct tool_settings           */
};

/* A tool that a tenant brings: it has to be as the rows of `tools` want theirs, and without what
 * is the operator's alone (files, neighbours). False: the load's mistakes tell. */
bool settings_read_tenant_tool(const struct conf_load *load, const struct conf_given *given,
                               size_t n, struct tool_settings *out);

/* "0.15": millionths of whatever currency it is. */
uint64_t settings_price(struct str decimal);

/* NULL when there are mistakes, which are then in `mistakes`, a line each.
 * `file` may be NULL; `overrides` are "name=value" and end with NULL. */
struct settings *settings_load(const char *file, const char *const *overrides,
                               struct buf *mistakes);
void             settings_free(struct settings *s);

void settings_write_help(struct buf *out);
void settings_write_markdown(struct buf *out);

#endif
