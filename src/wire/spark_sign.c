#include "wire/spark_sign.h"

#include "base/clock.h"
#include "wire/base64.h"
#include "wire/http_text.h"

#include <assert.h>
#include <mbedtls/md.h>

enum { DIGEST_BYTES = 32, TEXT_MAX_BYTES = 64 * 1024 };

static void hmac_sha256(struct str key, struct str text, char digest[DIGEST_BYTES])
{
    int rc =
        mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256), (const unsigned char *)key.p,
                        key.n, (const unsigned char *)text.p, text.n, (unsigned char *)digest);

    assert(rc == 0);                          /* it can only run out of memory  */
    (void)rc;
}

void spark_add_signature(const struct spark_visit *v, struct buf *out)
{
    struct buf text = BUF(TEXT_MAX_BYTES);
    char       date[30], digest[DIGEST_BYTES];

    clock_http_date_of(v->seconds, date);
    buf_addf(&text, "host: %.*s\ndate: %s\nGET %.*s HTTP/1.1", STR_ARG(v->host), date,
             STR_ARG(v->path));
    hmac_sha256(v->secret, buf_str(&text), digest);
    base64_encode((struct str){ digest, sizeof digest }, out);
    buf_release(&text);
}

void spark_add_authorization(const struct spark_visit *v, struct buf *out)
{
    struct buf text = BUF(TEXT_MAX_BYTES);

    buf_addf(&text, "api_key=\"%.*s\", algorithm=\"hmac-sha256\", ", STR_ARG(v->key));
    buf_lit(&text, "headers=\"host date request-line\", signature=\"");
    spark_add_signature(v, &text);
    buf_lit(&text, "\"");
    base64_encode(buf_str(&text), out);
    buf_release(&text);
}

void spark_add_query(const struct spark_visit *v, struct buf *out)
{
    struct buf authorization = BUF(TEXT_MAX_BYTES);
    char       date[30];

    clock_http_date_of(v->seconds, date);
    spark_add_authorization(v, &authorization);
    buf_lit(out, "authorization=");
    http_encode_query(buf_str(&authorization), out);
    buf_lit(out, "&date=");
    http_encode_query(str_of(date), out);
    buf_lit(out, "&host=");
    http_encode_query(v->host, out);
    buf_release(&authorization);
}
