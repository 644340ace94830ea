#include "check.h"

#include "wire/spark_sign.h"

/* The documentation's example, with its key and secret, and two more. */
static const struct {
    struct spark_visit visit;
    const char        *signature, *authorization, *date;
} rows[] = {
    { { STR_INIT("spark-api.xf-yun.com"), STR_INIT("/v1.1/chat"),
        STR_INIT("addd2272b6d8b7c8abdd79531420ca3b"), STR_INIT("MjlmNzkzNmZkMDQ2OTc0ZDdmNGE2ZTZi"),
        1683283419 },
      "z5gHdu3pxVV4ADMyk467wOWDQ9q6BQzR3nfMTjc/DaQ=",
      "YXBpX2tleT0iYWRkZDIyNzJiNmQ4YjdjOGFiZGQ3OTUzMTQyMGNhM2IiLCBhbGdvcml0aG09ImhtYWMtc2hhMjU2IiwgaGV"
      "hZGVycz0iaG9zdCBkYXRlIHJlcXVlc3QtbGluZSIsIHNpZ25hdHVyZT0iejVnSGR1M3B4VlY0QURNeWs0Njd3T1dEUTlxNk"
      "JRelIzbmZNVGpjL0RhUT0i",
      "Fri%2C+05+May+2023+10%3A43%3A39+GMT" },
    { { STR_INIT("spark-api.xf-yun.com"), STR_INIT("/v4.0/chat"), STR_INIT("key"),
        STR_INIT("secret"), 1767225600 },
      "AsgcUsSBoD0HuP77YoevuFfu8l4kfcOI5QW8QGv7Onc=",
      "YXBpX2tleT0ia2V5IiwgYWxnb3JpdGhtPSJobWFjLXNoYTI1NiIsIGhlYWRlcnM9Imhvc3QgZGF0ZSByZXF1ZXN0LWxpbmU"
      "iLCBzaWduYXR1cmU9IkFzZ2NVc1NCb0QwSHVQNzdZb2V2dUZmdThsNGtmY09JNVFXOFFHdjdPbmM9Ig%3D%3D",
      "Thu%2C+01+Jan+2026+00%3A00%3A00+GMT" },
    { { STR_INIT("spark-api.xf-yun.com"), STR_INIT("/chat/max-32k"), STR_INIT("key"),
        STR_INIT("secret"), 1767225600 },
      "HEuKyu8BRM81T3S7EOBBsfFoeeXS0QN+TevcfCpdtSM=",
      "YXBpX2tleT0ia2V5IiwgYWxnb3JpdGhtPSJobWFjLXNoYTI1NiIsIGhlYWRlcnM9Imhvc3QgZGF0ZSByZXF1ZXN0LWxpbmU"
      "iLCBzaWduYXR1cmU9IkhFdUt5dThCUk04MVQzUzdFT0JCc2ZGb2VlWFMwUU4rVGV2Y2ZDcGR0U009Ig%3D%3D",
      "Thu%2C+01+Jan+2026+00%3A00%3A00+GMT" },
};

TEST(the_known_signatures_come_out)
{
    struct buf out = BUF(1000);

    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_clear(&out);
        spark_add_signature(&rows[i].visit, &out);
        check_text(buf_str(&out), rows[i].signature);
    }
    buf_release(&out);
}

TEST(the_query_is_authorization_date_and_host_encoded)
{
    struct buf out = BUF(2000), want = BUF(2000);

    for (size_t i = 0; i < COUNT(rows); i++) {
        buf_clear(&out);
        buf_clear(&want);
        spark_add_query(&rows[i].visit, &out);
        buf_addf(&want, "authorization=%s&date=%s&host=spark-api.xf-yun.com", rows[i].authorization,
                 rows[i].date);
        check_same(buf_str(&out), buf_str(&want));
    }
    buf_release(&out);
    buf_release(&want);
}

/* Whatever is part of the address is part of the signature. */
TEST(everything_is_signed)
{
    struct spark_visit v = rows[1].visit, others[] = { v, v, v, v };
    struct buf         first = BUF(1000), out = BUF(1000);

    others[0].host = STR("spark-api.xf-yun.co");
    others[1].path = STR("/v4.0/chat/");
    others[2].secret = STR("secreT");
    others[3].seconds++;
    spark_add_signature(&v, &first);
    for (size_t i = 0; i < COUNT(others); i++) {
        buf_clear(&out);
        spark_add_signature(&others[i], &out);
        check_that(!str_eq(buf_str(&out), buf_str(&first)), "row %zu", i);
    }
    buf_release(&first);
    buf_release(&out);
}

TEST(a_secret_may_be_longer_than_a_block_of_the_digest)
{
    struct spark_visit v = rows[1].visit;
    char               secret[200];
    struct buf         out = BUF(1000);

    memset(secret, 's', sizeof secret);
    v.secret = (struct str){ secret, sizeof secret };
    spark_add_signature(&v, &out);
    check_buf(&out, "WOkn1w9sijGItG0Ie++AtcxxAIeDM4x16yoxcEj2nZc=");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_signatures_come_out),
        cmocka_unit_test(the_query_is_authorization_date_and_host_encoded),
        cmocka_unit_test(everything_is_signed),
        cmocka_unit_test(a_secret_may_be_longer_than_a_block_of_the_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
