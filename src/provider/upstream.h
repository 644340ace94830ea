/* upstream.h - a call that goes over HTTP: a request out, a source in.
 *
 * The parts that differ between providers are a request writer and a source; time limits,
 * statuses, answers that are no streams, lost connections and back-pressure are the same
 * for all of them and live here, as does the translation of I/O's failures into faults.
 */
#ifndef PROVIDER_UPSTREAM_H
#define PROVIDER_UPSTREAM_H

#include "provider/provider.h"
#include "provider/source.h"

struct upstream_kind {
    const struct source_ops *source;
    /* Writes the path behind the base URL, the provider's own header fields and the body. */
    void (*write_path)(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out);
    void (*write_fields)(const struct provider *p, struct str key, struct buf *out);
    void (*write_body)(const struct provider *p, const struct question *q, struct str model,
                       struct buf *out);
};

extern const struct upstream_kind openai_kind, dashscope_kind, anthropic_kind, ollama_kind;

struct call *upstream_start(struct provider *p, const struct upstream_kind *kind,
                            const struct question *q, struct str model, struct outlet out);
void         upstream_pause(struct call *c);
void         upstream_resume(struct call *c);
void         upstream_cancel(struct call *c);

#endif
