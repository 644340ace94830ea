/* jwt_vectors.h - keys and tokens that other programs made: RFC 7515's, and those of Python's
 * hmac and cryptography. The private keys were thrown away.
 */
#ifndef TEST_UNIT_WIRE_JWT_VECTORS_H
#define TEST_UNIT_WIRE_JWT_VECTORS_H

#include "wire/jwt_key.h"

/* ---- RFC 7515, appendix A -------------------------------------------------- */

static const char rfc_secret[] = "\x03\x23\x35\x4b\x2b\x0f\xa5\xbc\x83\x7e\x06\x65\x77\x7b\xa6\x8f"
                                 "\x5a\xb3\x28\xe6\xf0\x54\xc9\x28\xa9\x0f\x84\xb2\xd2\x50\x2e\xbf"
                                 "\xd3\xfb\x5a\x92\xd2\x06\x47\xef\x96\x8a\xb4\xc3\x77\x62\x3d\x22"
                                 "\x3d\x2e\x21\x72\x05\x2e\x4f\x08\xc0\xcd\x9a\xf5\x67\xd0\x80\xa3";

static const char rfc_rsa_pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj\n"
    "NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz\n"
    "P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo\n"
    "9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB\n"
    "EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX\n"
    "FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp\n"
    "oQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

static const char rfc_p256_pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
    "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
    "-----END PUBLIC KEY-----\n";

static const char rfc_hs256[] =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQo"
    "gImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOE"
    "jXk";

static const char rfc_rs256[] =
    "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGx"
    "lLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5R"
    "Zmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrn"
    "byTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHW"
    "EsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
    "cN_IoypGlUPQGe77Rw";

static const char rfc_es256[] =
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGx"
    "lLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8I"
    "SlSApmWQxfKTUJqPP3-Kg6NU1Q";

/* ---- keys ------------------------------------------------------------------ */

static const char vector_secret[] = "vectors are signed with this secret!";

static const char rsa_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                              "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu8dQ1g7orFp2sN5QNRGb\n"
                              "3UpXaxg8t+tXOipjxfjc+JWVI1FQ2eoCzm4qXw+J+bzw0RZ1rJRZnEq+C+Sc3YBm\n"
                              "z/s89d/YQZmChtinaN5kpP4HSy7BrrI0Rp9gf0KSmuxgsqKn+oe2eMQvHYXJ8pwf\n"
                              "QYG2Y2Nmdk0L5VW4bIOujZTFtrp+PAv3ej/l58fIHqM+bQXUYVSggIhlbm18flVI\n"
                              "WothCuE1TOCGJnhimsA/5JeW6QKzheKTGAG1VkdN/pRakr68PyH8aoFeX4t/sv/N\n"
                              "bI92gl5tWTL2Wps6KoJ4Aw2jUAVWNRsrrLDvuzw/aEP0i51Yyiwd8N8QwxtLLqi0\n"
                              "kwIDAQAB\n"
                              "-----END PUBLIC KEY-----\n";

static const char rsa_pkcs1_pem[] =
    "-----BEGIN RSA PUBLIC KEY-----\n"
    "MIIBCgKCAQEAu8dQ1g7orFp2sN5QNRGb3UpXaxg8t+tXOipjxfjc+JWVI1FQ2eoC\n"
    "zm4qXw+J+bzw0RZ1rJRZnEq+C+Sc3YBmz/s89d/YQZmChtinaN5kpP4HSy7BrrI0\n"
    "Rp9gf0KSmuxgsqKn+oe2eMQvHYXJ8pwfQYG2Y2Nmdk0L5VW4bIOujZTFtrp+PAv3\n"
    "ej/l58fIHqM+bQXUYVSggIhlbm18flVIWothCuE1TOCGJnhimsA/5JeW6QKzheKT\n"
    "GAG1VkdN/pRakr68PyH8aoFeX4t/sv/NbI92gl5tWTL2Wps6KoJ4Aw2jUAVWNRsr\n"
    "rLDvuzw/aEP0i51Yyiwd8N8QwxtLLqi0kwIDAQAB\n"
    "-----END RSA PUBLIC KEY-----\n";

static const char p256_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEZi/E3JawVbETs+IIa3NddMBeOtf8\n"
                               "GOTJXJF5OWzNtTNoSRKoF/rQ5WW/dGLi6L3BdkIykYhdJ437wUuN0A4mrQ==\n"
                               "-----END PUBLIC KEY-----\n";

/* Good for nothing. */

static const char rsa_1024_pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCkPm6SoZmLcPlaZD3Q5BTvPtI2\n"
    "Yb29I0DS7/2GQ8FgPSnR8HlcY9JhI3CU6vhvv8aHlI8esWdoLS4bjX2lwE1/S0jk\n"
    "MpRi73CSOXgNyk4/u8VVDA8oWBfcv4NmaKCmxh2VbINTJWoemXCiFAp1naaIN6Kg\n"
    "jR5u3AyEEUtWdZ2QlQIDAQAB\n"
    "-----END PUBLIC KEY-----\n";

static const char rsa_2040_pem[] =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBITANBgkqhkiG9w0BAQEFAAOCAQ4AMIIBCQKCAQAAkoecfqijBz3D+5dLU0us\n"
    "fu17/TkWQOW/g/40DA7Hc8TQAOgEos0PhlN99bCM7F0HalG94Pzh81fnHmfyVx8R\n"
    "9zN1P6gvJBuC2NV6WeohOeWK2A7TCAp1Ef4BcC38x+7+B1pocffmO91xWk1ma85t\n"
    "S1rqVkHhvlhSl1oqPFDHl41Vedsadqt326FDTd2eoT4S9/C0g5UQ/M6vfoAGtyzP\n"
    "PxPFpJp28G5vW7Xaae5d7dmZZddKMdXd8/Lct1oJ2ePOdtmafncX61BbvB/kcrAC\n"
    "Niq+MjAAoKCqjb48E4DPWCtUBBPQ2K9JGXTNs9d0zgM9mwnYZDmsOfd66z8QX2sX\n"
    "AgMBAAE=\n"
    "-----END PUBLIC KEY-----\n";

static const char p384_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE9zwFCwMLCtlI/fp77+FFMYX8ZsXTH80n\n"
                               "8c5SrzrdQdRMSdase3iEsC6oA2UEKVsrAN/s7XT9sjssVlBLJw4rjKRgXI2wdNad\n"
                               "3w1+L1xt1BfcORM2VbEhftshGfUjDy52\n"
                               "-----END PUBLIC KEY-----\n";

static const char k256_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                               "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE8ozJINYeSsk2ZWlJExpHhuzrSS8KqwEk\n"
                               "5Db/QZc9dRFLwL87i9xMWGYOW/7Mlpams//tScoFradwhgbMhflNzQ==\n"
                               "-----END PUBLIC KEY-----\n";

static const char ed25519_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                  "MCowBQYDK2VwAyEAVLpu6X7hPDISNUa8qsKl245kwDK00sspwKpMjU1A5ZU=\n"
                                  "-----END PUBLIC KEY-----\n";

static const char certificate_pem[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBBDCBq6ADAgECAgEBMAoGCCqGSM49BAMCMAwxCjAIBgNVBAMMAXgwHhcNMjAw\n"
    "MTAxMDAwMDAwWhcNMzAwMTAxMDAwMDAwWjAMMQowCAYDVQQDDAF4MFkwEwYHKoZI\n"
    "zj0CAQYIKoZIzj0DAQcDQgAEZi/E3JawVbETs+IIa3NddMBeOtf8GOTJXJF5OWzN\n"
    "tTNoSRKoF/rQ5WW/dGLi6L3BdkIykYhdJ437wUuN0A4mrTAKBggqhkjOPQQDAgNI\n"
    "ADBFAiBYKamfL2A5rjaVwx0vdAUdedUGGnLyTHQ97HS5ckxjXgIhAKItWxkoG2/E\n"
    "4CdWGllcK4Cxb+cdn9JsPWP1kydEL9kG\n"
    "-----END CERTIFICATE-----\n";

/* ---- what is wrong with them is in their names ----------------------------- */

static const char hs256_with_rsa_pem[] =
    "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYW5uIiwgImV4cCI6IDIwMDAwMDAwMDB9.0G"
    "xPRC6CjI83CIgiPMH7-0xGeFuC_rOQN1f4tBc3J2M";

static const char hs256_with_p256_pem[] =
    "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiYW5uIiwgImV4cCI6IDIwMDAwMDAwMDB9.-1"
    "nDdkKkrdEjYwBNzCWuNZAmN4oDSAeh9DB9XRkpe2w";

static const char es256_in_der[] =
    "eyJhbGciOiAiRVMyNTYifQ.eyJzdWIiOiAiYW5uIiwgImV4cCI6IDIwMDAwMDAwMDB9.MEQCIDaXO_mF95JOiHdq"
    "BNvj_kxhgOsf-jTgynR9KkSq8tZNAiBJEJWgongujKYPfd9BTpJXD65zliHOvjZquFYV2e05YA";

static const char es256_with_leading_zeros[] =
    "eyJhbGciOiAiRVMyNTYifQ.eyJzdWIiOiAiYW5uIiwgImV4cCI6IDIwMDAwMDAwMDB9.AA3Y4O88zaOKAh28a9Z3"
    "GJ1jJVtjm-BSvKcGrbT1ZskPAI086CeIIWb1T-NJlwfxb7heuA1R4IzJCe1cUnbK_YZt";

static const char es256_of_sha512[] =
    "eyJhbGciOiAiRVMyNTYifQ.eyJzdWIiOiAiYW5uIiwgImV4cCI6IDIwMDAwMDAwMDB9.i-xq4tmKXfLJvY2rg1kI"
    "9TiS4h8opeZ9MPIsYK13DrKq93sXiKPeofIHY6Hi_sTyVbpTV1HFoDpb78AOwmebkw";

static const char rs256_as_pss[] =
    "eyJhbGciOiAiUlMyNTYifQ.eyJzdWIiOiAiYW5uIiwgImV4cCI6IDIwMDAwMDAwMDB9.gnoodwVgcbI6-1c9h-Wt"
    "LVIPHTJ5MGIgVTDcmzJmhzkOaL85Ss4MYVUww8lyf4XuvI9SV1HYzwu_9ATqKd09KlY9bagjch_GQMe2u7eohVOL"
    "lcryt8Ld6CCi4yphKKyuyexy2Nr17cPknSyyxmV8bAPpETWKXwxJ4xAIGOvrLh9lwwU_YG8Qa39V-R9fv2veAPT0"
    "xD7-CLdu7ezoLRlW2uWPJX86l8O9nl8dKMGjuCiHlYB5K2d2HKFD040hEP-ezxDBCSPuVNr-Tt4ngQ8Z2Hd4QH2v"
    "k3TNKdxVQI-OmHI6S3oWntgylV2YQsOAqgKunp3f69DRWfwUjge6EfU2pw";

static const char rs256_of_sha512[] =
    "eyJhbGciOiAiUlMyNTYifQ.eyJzdWIiOiAiYW5uIiwgImV4cCI6IDIwMDAwMDAwMDB9.SaD4lDN2hQIqh_plTS61"
    "EUxIl_oRfwZNnLhCJ-nu-89UJR2qWSXRAcbjIuKV9WNUCcnhykW8IdgwsOkqEelZRhDOJRgeGpt542giKM0THZLJ"
    "w91eyx9nlpK6CK3AfMer1-ioe8pO-i5ytZkq47xgj797uPJwniu3ETYgXv3-2y5hAsutcb6tQ4z_JQqjyiOFz0P-"
    "xix6T0qkhg64GRky17INMUxPC7N1q_PCz6dy-GtZAqf35OewPGfJMpX_oWtNkR-i_z3scLqET8i9E-b4QPSrJyku"
    "LxqnLouiGZWdAIn1GjW5s_MOMRzKBlIhdjkcu8vQ7V5FFySB1FUC4epkrA";

static const char rs256_called_es256[] =
    "eyJhbGciOiAiRVMyNTYifQ.eyJzdWIiOiAiYW5uIiwgImV4cCI6IDIwMDAwMDAwMDB9.Q8lGKpqoKfMymh4h5fK_"
    "Vf4CtwWQJ60zb9rXxxQz3AsPeFi-qQPZL8jXAFYRx1tLVoLAnIKv8k1K2g4leERGh_gTgpDsXfPwIZ0HptXvRAZV"
    "sFLDX29umdC9AiSJhEXqQ1z7ACY3CaRRyoRvAlFFUgHLsPp-2YdVNPh32gW5Ht4jLUCzLZn6XyHIAcYQjKAtE83b"
    "T8R1tyQ6EXY8nhaRFl0LOXQgkPBL6YuUL8Osz44Pt4MAtJdzExSabtPlCWZh51yG73Zv2wr1KLckBdiRgHCaIPW3"
    "VpOEo8NRnpH87kBZ19WQ8qFRdZ17r0hjFVdSgEPphPS-VssOMJYEFj-NKw";

static const char es256_called_rs256[] =
    "eyJhbGciOiAiUlMyNTYifQ.eyJzdWIiOiAiYW5uIiwgImV4cCI6IDIwMDAwMDAwMDB9.1yKQxOwq9F38Iz1fqAfD"
    "pt8xrd7SfwLVkb9OEd1ScS9y41R4W9cdH2HHxduxeBmL-P1dFIjdzqDa3zi463Mi_Q";

/* ---- tokens ---------------------------------------------------------------- */

/* The last eight letters of each of five hundred tokens for HS256 (see the test). */
static const char hs256_ends[] =
    "bpoywChIPV9melZcUEy3BrVQ0H80vNEc0vfZ_NwgOMRjD94A6H4HhhaM6hTfLc4U5hRwB76Ij4GwS9Q87OTvStHU"
    "CSjyLl6weQzhmV58KIr9ZEu0WnqglBqcwe4cpIe0sbcUyL2IEXtKqxPUSFqo9D0MzrKlWUI8zt_MmQ-wF2K68bcs"
    "idOWgwo0PmRJ64dI3CrgDH4IEuH0lGFoM0-IQmZknpSXzSXExJXHgnZ4W2o2j2gAoS8_g2jgKipa09Ng5rscYmCE"
    "NR5MHSH47LQGKoDsDETu6i-Yukmzz1SUklYl1kpEtFxZCk60MM4IGpAU0jZWpcF0P9jlUUjwMQMUGVwEiVCEIuAU"
    "_ZWjqmPQUSvSJR-wrZKNC6sMHUkOItI4sKeAO-20DjGTJtYgKYCa8OOM2Ud9553ILJR4n9hc7nwtLrEQugLRiHSw"
    "vTGFnTvsPMK7JJfYZH1G7An0Rn6iQliQG4AVAgaokzddvtCgvN6xNeVsV1I6tPQAfYzXNCBcCR15x8KY8XAOg8WQ"
    "Hjei5tGQhZ5r7wwgZJwlnFcQsk5i_owIGuFymiHUzRC1tU1ox_torlGU91evS_fUA8-Ko5mgZmtmquBA_UnXBWOE"
    "NlEtbT0YIqjOOb-g3lZBMrcg-VW2bLA045RGzuYAGopRsrQ4Qpr9mPvkd_IAITx8STH7WjMs4ObBCdNEiSjZCwd4"
    "Ze9gt4BEsMJXDH6skanju7wQ1ZZSRqi8w84DXuoMxSiqlMp0vVkc1PwEqTYOYeooQ6y57rqoCztywNcExdC7TkEQ"
    "abeL0r7M-qY-2yH4DPxsnRr0jW42j8G8GWEQwJSEQBTLPUh4G4QlMxV078JzhnQMQ6IgdZ0EQg_0PydAZYC4uFt4"
    "kmvioPOUcITPqedgWBV5pBoMs36__We8-dQmP_coPAMqpo0csBragJEMII0HHZtc0wdBuWCsx3AxYepgDekAaT5U"
    "mOUw3a3EynapFNdYsbuPT5KQoUoDXaS4h0-TAiXMQY95vBNo73MiPHsM5OZuL_rc61FVRcCMkW5_vevEJ3vONaiI"
    "5hhpZex8MMQ-58JYEl-rmSdEnwUFijWEiqq716kAd6CB5VtAMOSHMbk8R5XXBFpMDnPpUKrsJE31XjRgE8TQa_zk"
    "fyVC6eOwkRWL6muU6UkUZZkc0mZaV0zwInnlH5sYzZo-9ZhcwJbwDOpYuIGnVp7wa3_T_vbw2kUELLN01R-XYtJ0"
    "2YgZO3JkKzfCe9w48PIjwgwQ9CotZhRYMs7FoJAoHmoSvIvkD-sXVckUlQhCTb1IIwaXo1fMnDT1DIsULUeE5q2k"
    "WxrpCsoMVMNewfqMAda0DLFsr3-6vyBQn2G1Q3yk3zBJMtBwNAedx2HUnN5uexzkqqMu7etYhozL4xzseJuQCOOw"
    "HsikqwGsgkwqwcO0xnxlUSjAe9SfS0ykQGnDmDWE0uw0zjkAuPkg8ihYNduH1tTY4L4ZKxro81flUi2YubbTZBrc"
    "Kl9UAyE4PZavx8vwRG0YfHfwK1JA-9A8-_hARaUA9xZIukcIGYHhXBncGzL6nVIojeq2TgZMPzyzGlHkrsPSqRi0"
    "bApDd9MUlefU8EGYG--g53ZkZ_SRZgCM1ywJhx2w1_2MjOgYvF2b0gNwICHGmXJUX0HGksco7jISwUrYl5koR7XY"
    "1sH8Y99AcHtGK3iE5sccMAichyu8ZnWsSa4pMvNcj7qn9jbcvw1gGutk8genLy30C3Oxdrz4qZbGMVDM2ySbLBIY"
    "a8vU-Sf4DpTjg8344I9nAbBwCTUn8scUoKI2AjIUD4U9V-QwLJFJNUuo6J7ksHCcxY-D3BOAgSOsqLQ0gDVdsjog"
    "j4KxCh8wu-ksRjCw9eW2ELnQh4vuSFasiTm4H13IV7-GZ-OoCBQB0La8zjO7O2N4_b6QLbDoqCabd-qAkA3qacEA"
    "qT7_K8W8f2Ql9FagK46D-T64gC8CvYJYkJtusHJgcgAtD2bgHJWNUSH8B7rE5peUa_9y7KGkZpZp2Xs0CHEYRtkg"
    "99RbUdQgkMr-8IbgnfAwdC4QpThAwJfcnb44HA_QJTBWprkggZc8pfJAX-WdpCPAv255LleAZcyoN5CEL6ZblzQk"
    "V8949tg44V3A4Ig8USGuDhWwx2MaZPGYAtwt68A8TDonzi9IicSxPZXoraXy0OP4RQzCT3H0IFkFAwAENcHcjmzE"
    "d1pQJrCwHiM1itbUXCBhN2voPVpm2UvYfczFPLtYXi_eWTAEfKOu8b7IRq-mPyF0_hpf6hFIXAdH75wcdRCZCR0M"
    "kMeSYtW4cn2jVr9ke8ev5Hy0KjV7lm7cF6NHMNAID1DStM1sJ0ikBrFcbobuIGT8GL3kZhkAWjM8-GYYH3VppflM"
    "0qcqCNtIFb73lQp4IjLUEL708icnQ1is5EZZzt0YDyxQ-NZkkjBSfOL4902PEzmoUWqTD9wsrHvL60FowdoTEzZ8"
    "niGtAdCk_Wk7qQuoEbUd7mOopav9eNyszuSX7NH42umx096AZ5Qi7w-U1Ai8Il9YQIqG3JigQCYNGJQIutiQeysQ"
    "4-UhNdo0Tl-3qH4MZ0RILHSkMDKGxFf4WbF8PV7YY5NGxQwgYssB1VG8Sfebavjk2yJ2ub-YNU-qXdP8e_Srxvv0"
    "pSqma8-gmD3mdnRIeMyhE01kfZaF9_BI8_OP6PTMBgoJMGM4DQkMj8dgjyLWZcvoIumN0NiUkEwQ1m68hvas8Iq4"
    "XI5eXKrUeYfmMBR0jYO5lWTwJ7gebj6wbGsR6XQcwxD6gx_McEnrxvAgpeA0zXoE-DiZYW5gPF1_iqeUHBEMKLxA"
    "WuSbEeLg8FUldNZULls5MqlUiM36QUYgc0roRoMQ_L5RCkxEbQ4slIDY6_fE8IRQiUC-8iN8LPQUc3ucDZv1bP1A"
    "uabjSO9IfWjmh0Jsw87_hTXUFvWolefMjG8TGnb4h9nEOl1gBFcVgim4Ogzzq5vwxzxAlO-AHWkzQBrYcBI0N3xM"
    "63_I0tAghUYxzwNEehGdG4acMR_EnRqcMUpRftwco7mgsJHELfMNo2XE1bqNXcewwxsrz8Csi30MeTa8EGGyW3YI"
    "PnYOtk3YptUvVcTE3QajCWvIzl-UVUQ4BG2f8mNkya0rrWkIVpefXe1gn7-KAEDUw85-SJCMe3n4C6nEp6z1DpEI"
    "DRHlYMB8QHTiVVCEfCtCrCeImTNv8yoUFMLnjv_M_b8S6jiAwHy9mcms-GtNc2T069Dz9I30KNhqTcY474WN9iwU"
    "owdThuTsSLliAGxIuRGFmDE0Fbr78B7470iXH7mA4sL5WRg43WCskocYRuQYOkwsDwL3DLDYy_d-bxR43HFv3uhQ"
    "Xi5Gosu8z0s6uAz4EqsPx_OAlxAFEcnolIqbKSBsQveuVVlAaRJ1-YTAuccrp9qkI5_-8zFQNJO2_24sYQSWK_94"
    "qJZu2SX4TESWkYfos_EewyW4ftb1-8MAVYbQhyGkFZNsEx-MuVkhRiQIXlIX050QeruAnVg4okorF2P4CzCl7gcA"
    "L8LFgv20Xv65SfWYwFlomXZ4c656dRYI_ZVs3bTcq8YfD-2gEywkj-7QLba64rtwfgihGlJk0x1wfU50627A1S3U"
    "RiADCd5UzRsk1RJAZ6TEddw4BiHGt44YvMXbU-rsAApJkqRs0RllmbxMEUJ3D9285iwn-VIsllGxneW45T5A7qa4"
    "hQBZFkXAtHZoImT8-UWIQbtUTna8VLgQrVyY7bpg_cyJlUhsLn2S33dYx92RqqmwMi0l5aiwpSNSFsmAoyMgIrq4"
    "mkj_bAPAesOo_qT0Ngd83Eq0e9ThifQcODe6opVgEK5EwDCANEd8ShksBdA7X0xASnpWNXnAYqYXQ-D8EV5sfAn4"
    "hZV2wbiAyn0oRdN4XjB-fN24k5LnZaJ0ygeXbhmIyChSeu-gc43s1S58oRnPDoYoXzFjqCS0uR-nmzC0M4dcv2Lo"
    "JFvPmLT0Wb5J0zqYCD4jiqcAudD9L01oaZ5vqjhA";

static const struct {
    enum jwt_alg alg;
    const char  *subject, *tenant, *token;
} vectors[] = {
    { JWT_HS256, "ann", "",
      "eyJhbGciOiAiSFMyNTYifQ.eyJzdWIiOiJhbm4iLCJleHAiOjIwMDAwMDAwMDAuNX0._CmvtWqnM6h7nUI2pFj"
      "yHiCUxdM8C2AG4rvE9ikD-NE" },
    { JWT_HS256, "Zo\303\253", "",
      "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiWm9cdTAwZWIiLCAiZXhwIjogMjAwMDAwM"
      "DAwMSwgImlhdCI6IDE3MDAwMDAwMDB9.AnO0XUDf1UaqoZhtodBnK-jR3BwFn6XwcYPq6pboW3Q" },
    { JWT_HS256, "\351\230\277\346\230\216", "",
      "eyJhbGciOiAiSFMyNTYifQ.eyJzdWIiOiAiXHU5NjNmXHU2NjBlIiwgImV4cCI6IDIwMDAwMDAwMDIsICJhdWQ"
      "iOiBbImEiLCAicnVubmVsIl19.RkkGx6GZPWbNtl5x0yqh1cQRii6qFYsjU2wxiX5bgzQ" },
    { JWT_HS256, "user-0001", "",
      "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiJ1c2VyLTAwMDEiLCJleHAiOjIwMDAwMDAwM"
      "DAuNSwiaWF0IjoxNzAwMDAwMDAwLCJhdWQiOiJydW5uZWwiLCJuYmYiOjE3MDAwMDAwMDAuMH0.ZXyCQxc04iH"
      "cQwT2ON89xR7OW5XRKejWDBZC3_i7Njg" },
    { JWT_HS256, "auth0|5f7c8ec7c33c6c004bbafe82", "north",
      "eyJhbGciOiAiSFMyNTYifQ.eyJzdWIiOiAiYXV0aDB8NWY3YzhlYzdjMzNjNmMwMDRiYmFmZTgyIiwgImV4cCI"
      "6IDIwMDAwMDAwMDQsICJpc3MiOiAiaHR0cHM6Ly9pZC5leGFtcGxlLyIsICJ0ZW5hbnQiOiAibm9ydGgifQ.Oe"
      "KuGtuq3E6oINBfAMPJgiLvg2YqxLMGBCgFV9a5nJI" },
    { JWT_HS256, "\360\237\231\202", "\345\215\227",
      "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiXHVkODNkXHVkZTQyIiwgImV4cCI6IDIwM"
      "DAwMDAwMDUsICJpYXQiOiAxNzAwMDAwMDAwLCAidGVuYW50IjogIlx1NTM1NyIsICJyb2xlcyI6IFt7Im4iOiB"
      "udWxsfSwgdHJ1ZV19.wSzOWPyQE4gAdaU2lxLwFIIOwkLengFY1fSpULSF0I8" },
    { JWT_HS256, "a b", "",
      "eyJ0eXAiOiAiYXQrand0IiwgImFsZyI6ICJIUzI1NiIsICJ4NXQiOiAiYWJjIn0.eyJzdWIiOiJhIGIiLCJleH"
      "AiOjIwMDAwMDAwMDAuNX0.TofsR-LXB-fKbnSqRsUqdPCoKUGuI6CoPIEHYfZj9ss" },
    { JWT_HS256, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "",
      "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAieHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4e"
      "Hh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eCIsICJleHAiOiAyMDAwMDAwMDA3LCAiaWF"
      "0IjogMTcwMDAwMDAwMCwgIm5vdGUiOiAiLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uL"
      "i4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uIn0.SPV7gMbJEAYax1_"
      "GWRkPmj3Agr21jGEtNPGzgVGlt3Q" },
    { JWT_HS256, "o'neil", "",
      "ewogImFsZyI6ICJIUzI1NiIKfQ.ewogICJzdWIiOiAibyduZWlsIiwKICAiZXhwIjogMjAwMDAwMDAwOAp9.kD"
      "QfJGwIyykgDcgyZTBUHdD3xOP5_YF4D0JFO5Wsi40" },
    { JWT_HS256, "\"quoted\\\"", "",
      "eyJhbGciOiAiSFMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiJcInF1b3RlZFxcXCIiLCJleHAiOjIwMDAwM"
      "DAwMDAuNSwiaWF0IjoxNzAwMDAwMDAwfQ.5kPUN0_FDqu-9NMd-xVVn2ux7aUV8ie1M8duo4-xi0c" },
    { JWT_RS256, "ann", "",
      "eyJhbGciOiAiUlMyNTYifQ.eyJzdWIiOiJhbm4iLCJleHAiOjIwMDAwMDAwMDAuNX0.tMq9oaMQT1jDO7W0QW7"
      "5RZiS_ScVTAF4qeGMBpC5Uu6i8KvVvmLK_dCBbqypHjyDmAW6-768AOpgoww-7CzuMAXbIDpFcj9V_gnuVZG0M"
      "vaM14Ev4uFq0m6R-JyvvZpOxA-Lc2WX85ewrWqxGdtqoPdCh6zBHq7Kaalks8eqkMIVfXvsxwhmf3Y6cTsecVF"
      "HFrgKTtN7fbmSQSLWKKYMDQjaRA4GdMBjKho2aIfEDdirzgh_kYUAdcA7lQgJ-j4OrLyzz3QV8p8uZKTz5rd4m"
      "GgS3FVVOFquCzwnIAGPa8ZTTo-o8K_4E7bulI7avKP1iKYHNxC-kMVSH3i70U-IsQ" },
    { JWT_RS256, "Zo\303\253", "",
      "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiWm9cdTAwZWIiLCAiZXhwIjogMjAwMDAwM"
      "DAwMSwgImlhdCI6IDE3MDAwMDAwMDB9.dVLar0JcT2CNHL6MmnzaRuE40w73aocFiUbDdHpyv3NTrECf0w2TEq"
      "H_JSR01BV87pq1943oPvfikNP2yLDwJxcdOrrAz5ijuugOiLRDIy5x2z93VItx_LOqSYLjDYjYemYIiNxZ6Pfy"
      "OA6RMgS-B-ruXZwgkE32uI7inMlaHLuJASyweHIHwas7hnIyFnaBE7e7pKjA0DSOBrgF1EMzVhErB4QsErM5Ku"
      "8-ioSTDH-_f13C1j6JzVmEv1KnWZAsB41SUNu8h2KcTTXu2LmjOW7WPO5Grk0hnZQCvCbu0UOFGO9YM_3u6vmz"
      "RHXQP9RuLhbeem6M9wyMt9C3H0AR8Q" },
    { JWT_RS256, "\351\230\277\346\230\216", "",
      "eyJhbGciOiAiUlMyNTYifQ.eyJzdWIiOiAiXHU5NjNmXHU2NjBlIiwgImV4cCI6IDIwMDAwMDAwMDIsICJhdWQ"
      "iOiBbImEiLCAicnVubmVsIl19.oHJzZVF1456pvzs59y1EcQKkY_-QbuuxT-mmJ9T-TOKmxd_GD7LK7nxMGdna"
      "Vmh0m-H9V6SBq6ULux3EjVcMH_xc1cdNFdrmKEuvKW6ubNB6jObQV0mi_jEhC4GS784qxIXWDUlLwMuMSIJisV"
      "70fDsVmtDagle6XH41hcW9MPRSUzWD6D5vh5394iQkjNPrT11I4yeicRbFa6ZoGjwKDvmiReop8F8PAu-_vLpE"
      "ldYDnnjwdkzS-qgdYm3plPDbSdF3bk4RAzwFMVwu7dzQF_FdpnF1URQ9BAYTpTcR8QliQ2OAeANwuV1DOhx_Hr"
      "O12c5cCTmhuXLhaCPSQtJE0A" },
    { JWT_RS256, "user-0001", "",
      "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiJ1c2VyLTAwMDEiLCJleHAiOjIwMDAwMDAwM"
      "DAuNSwiaWF0IjoxNzAwMDAwMDAwLCJhdWQiOiJydW5uZWwiLCJuYmYiOjE3MDAwMDAwMDAuMH0.SJ4Wr2aRqUf"
      "rzyFHMpnqHqXV6TVzj0Qcbo8k9MpdhlU6ZG1QlRbjG07w9hr-NPdd2YnEiFB70FNMTCSpTIOLX09-ROoehAo-H"
      "NW0vWpjQaa5z0-V0dQ3l9BBUY8lmjlG9Sb-YxAGvW3GRDXo8bviZC5wUExBiVFbyQwBEBcVe5TA0bCnScveHDN"
      "t-PnoMtAtGVNzWTr3q8RRlRMahvF3dMceERRxL_AX7yAKhjX-Pde--NEvWL_BzL2UIzC8Vt4PufR7qtTS0ORJD"
      "6CpMi14OpK8rLAM2Sz137zrwhqkjBbIhSteI7omQlkVUg9NwPDBxm6PdM3twRQtChf_FCqKIA" },
    { JWT_RS256, "auth0|5f7c8ec7c33c6c004bbafe82", "north",
      "eyJhbGciOiAiUlMyNTYifQ.eyJzdWIiOiAiYXV0aDB8NWY3YzhlYzdjMzNjNmMwMDRiYmFmZTgyIiwgImV4cCI"
      "6IDIwMDAwMDAwMDQsICJpc3MiOiAiaHR0cHM6Ly9pZC5leGFtcGxlLyIsICJ0ZW5hbnQiOiAibm9ydGgifQ.IF"
      "Ld4MZGhqvnjJ97xASahXac5EN5HL7khf8BM6L6PXbDirefIZCDNQjsotsPQbcAgjU0PK-iH1TMtMLBohgndvAk"
      "OoTVPwx_59PPriIiWEvYYjboxkSzBc9skLd-VQbtVit43tqBfmV5CHBQAiLYFLXpA1NTBXfeJ9y4XAk1zVo6vr"
      "jiEae22Fg3pb3aP7FvN2D6AnbNNtaG-eksUM2HaCIaVVIHAi9z-lTwMXSh_yq4NlIIUEcE3sY1Rv23VqZQv9Am"
      "_WrTY5AD4hd-Tk6DcTeCKBd-N2uMeQDQ6N8RWdzXUppSI3RNn0cdOXqEcLpHZC4QOuzqyRcNzLd_TX8Lug" },
    { JWT_RS256, "\360\237\231\202", "\345\215\227",
      "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiXHVkODNkXHVkZTQyIiwgImV4cCI6IDIwM"
      "DAwMDAwMDUsICJpYXQiOiAxNzAwMDAwMDAwLCAidGVuYW50IjogIlx1NTM1NyIsICJyb2xlcyI6IFt7Im4iOiB"
      "udWxsfSwgdHJ1ZV19.aN8azmiHCslW1HpzArc6HENtYhFwCl95QNXZ8nzKwxpzc8KtJmMOKkYi2s-bPd8pWlQW"
      "4UGtxeDamZi7l2RKGWsdnP3-8ERHzytj1GxpCWN7te2tBs3dg2YM5SYU7RHpKw1fwE_ldn5JyDVY2lIYePcO5-"
      "menbs-j0PSd8b5rxX79f4HDlX3rKemL1DTx_wfbyf91VQ4NozHyLus2yZwl25e6k2gQ6xqS1SOrywf1UmjdJCV"
      "IFlB-Ebfxm8ECnI6qP2j5q1MED-pZ5dV5qe0Z4i-nF3rF8HQlJBGhyahs1VToCEUZzS4F2V6IjTRCSkSZTmQhS"
      "Lo3WbXe_HwfIqBaw" },
    { JWT_RS256, "a b", "",
      "eyJ0eXAiOiAiYXQrand0IiwgImFsZyI6ICJSUzI1NiIsICJ4NXQiOiAiYWJjIn0.eyJzdWIiOiJhIGIiLCJleH"
      "AiOjIwMDAwMDAwMDAuNX0.ogNg1uSz72jix9ejHbiWkt9Dc7OQ9Hz4ImYWob4v6HgW7Ni71zT6tMQCrp44kewW"
      "ISgg5IcmpUNAM5v7nKZ_d9HQiQZhzD3cuPgvgf6CsqNUkbBH_lvAr2hnxZYdS_DDXEd4aSFVnbvNbWoBxNWxVI"
      "znh8Jpp8bd2cvchyAgQzI9VLB5KgznvEpjLgcPfNip4se4HeAOuswicTcoYWVm5ddBVVJuBBtNy_OXHelJM23A"
      "KjsDkKS8AQDPSAkmseg0HAkgo4vlCGXIX2yaPGqezPwZVp80ttoLfcAnh6oCjU4p6sOhQxqeTKGCmhCmVWD-Qw"
      "C7lXo9UiOo1ForpYgqGA" },
    { JWT_RS256, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "",
      "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAieHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4e"
      "Hh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eCIsICJleHAiOiAyMDAwMDAwMDA3LCAiaWF"
      "0IjogMTcwMDAwMDAwMCwgIm5vdGUiOiAiLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uL"
      "i4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uIn0.ImzTDgGik2VUOZV"
      "DUW-V1jc_IW6ZIRtg7AvW4Q4pVVb6ZucwqXWMDv3ApEo9JW67cTMz3qUTSczcV_qDuNOOw9P57EiYJ6II-PO_f"
      "0KJUO3zgXBtf4WPS2Kdg68dgE4vSsHrj7i3BB4LcALGFWPRpJbTRSYLODaaCziOrqDZ-_Zk5yqnZJ6kdEvv2op"
      "kVp95DYY2i6cTjzmup8Z2PuCM3J1SYIPJsxMeE7sEh7LGE_p3qyNvPq54XjcbHBH9EKo_N_-t_gkT98vX0Of50"
      "wpsk4MuQK-b8ROxKCLMYiLIHU4bMKEX-1He-3Tbn-ai2oR6vFjdO5-MDsR2bcYKgFxtmg" },
    { JWT_RS256, "o'neil", "",
      "ewogImFsZyI6ICJSUzI1NiIKfQ.ewogICJzdWIiOiAibyduZWlsIiwKICAiZXhwIjogMjAwMDAwMDAwOAp9.J6"
      "M-C-ggkig66YjzaO-tJamRh8lkDW_wXc_eTvfwf3gAEPGDmu-4QRvoSrx3vVcw7lYUmaTWyxL3r1OWinN51ZNN"
      "DjlLLEeJ6ptHTfljb9pc4xjliIH7pogFpvGs4KriQgw_vCw6bjvWwll8XptucWY56DdA88hhNfIRukEw6hwZW9"
      "0GBGHrSpSDe3wF-RgD8oA_v2ozEkfphgbos8v7yWUCEC2KuC-5LBm_HeI7FzPeCEV9LNL9KCZmqTdhDRED6TBC"
      "dJGP35vpzoawZXruThPqFS3mZbm-xQLEG7zb3po-8E1PN4f_mJ5PoABMdAC1zjXS0iojf1Xjs-MF_Q_wog" },
    { JWT_RS256, "\"quoted\\\"", "",
      "eyJhbGciOiAiUlMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiJcInF1b3RlZFxcXCIiLCJleHAiOjIwMDAwM"
      "DAwMDAuNSwiaWF0IjoxNzAwMDAwMDAwfQ.k-5TNpohIoy839eJ1GXxlVX-QsesJBt4Rjs_V_-Z85eTjBMD0Pvu"
      "WKaoFc4iQtfNW-1Y4AFuKZQdBQGce6hPgDgk0JYJlrTQuicHFkAW5mjjT0SUHzAEeqvz_NTpNziFa1GNPBjy1H"
      "4BXS-7g4XKFKQqK3JFXPweeYgupSe1eFIepYYqOLvbgxJ_DVdtJxE-EZAdpWYYfOxyt2rhM7HY6fCJUjjukNiO"
      "8muLQYMlMBEGWCcSmSLHeNGPoyGT8dNiTUAPXqV3ak12rPsMToxGPK92kUWJcJ20XP23EApk780tI5U3hZ9nRX"
      "eC2kegv4ekM-eCNQ6W45OnCiUeUDackw" },
    { JWT_ES256, "ann", "",
      "eyJhbGciOiAiRVMyNTYifQ.eyJzdWIiOiJhbm4iLCJleHAiOjIwMDAwMDAwMDAuNX0.EPrbB8VxprNAP3rMWz9"
      "p8kUrNGo0-XYJ56ngB79QGrFR6Ejhap-vG5YPMIGaFnHpP-OMSBVEgKojFbas2hBBcw" },
    { JWT_ES256, "Zo\303\253", "",
      "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiWm9cdTAwZWIiLCAiZXhwIjogMjAwMDAwM"
      "DAwMSwgImlhdCI6IDE3MDAwMDAwMDB9.LfAUfAZ8UQeiOhZlLJVD9M_cc8mtfdL_MG7XLhH3-sN2RCkD_ll5rj"
      "J8JC6zBuG6CmrsmyVK-0UrQF7FNGwfPg" },
    { JWT_ES256, "\351\230\277\346\230\216", "",
      "eyJhbGciOiAiRVMyNTYifQ.eyJzdWIiOiAiXHU5NjNmXHU2NjBlIiwgImV4cCI6IDIwMDAwMDAwMDIsICJhdWQ"
      "iOiBbImEiLCAicnVubmVsIl19.obVdsWUFWTU9D_vavyT4nsy695jKoodnNQ3e72JK-T8T-jpLCx6bLHgewZX8"
      "v94elyuHpz3zet6T8eQFJhiLFQ" },
    { JWT_ES256, "user-0001", "",
      "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiJ1c2VyLTAwMDEiLCJleHAiOjIwMDAwMDAwM"
      "DAuNSwiaWF0IjoxNzAwMDAwMDAwLCJhdWQiOiJydW5uZWwiLCJuYmYiOjE3MDAwMDAwMDAuMH0.PTHVbQvNZk2"
      "o1T7CxloG1h4RmZhTlBkOqdpWPQ-D8gq9vjL5qiRZxycBmsh-bX_jGCEjTm3UwKbBtzMWgT8IWg" },
    { JWT_ES256, "auth0|5f7c8ec7c33c6c004bbafe82", "north",
      "eyJhbGciOiAiRVMyNTYifQ.eyJzdWIiOiAiYXV0aDB8NWY3YzhlYzdjMzNjNmMwMDRiYmFmZTgyIiwgImV4cCI"
      "6IDIwMDAwMDAwMDQsICJpc3MiOiAiaHR0cHM6Ly9pZC5leGFtcGxlLyIsICJ0ZW5hbnQiOiAibm9ydGgifQ.2c"
      "5Yrv5qbiroIvFU8rs2EayanHFYsxESMxfQfXCuUngdhxYmX-0yV0G0nXlrVYhytgdbuV7rY_vmXE2b4u_6og" },
    { JWT_ES256, "\360\237\231\202", "\345\215\227",
      "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAiXHVkODNkXHVkZTQyIiwgImV4cCI6IDIwM"
      "DAwMDAwMDUsICJpYXQiOiAxNzAwMDAwMDAwLCAidGVuYW50IjogIlx1NTM1NyIsICJyb2xlcyI6IFt7Im4iOiB"
      "udWxsfSwgdHJ1ZV19.F25_jY24zW7R_4pAm7p_HlUzoQ7hnbem6cdi-NmFC-g18M15ay92aUHx-GjlNUsiDmAT"
      "X60oYRtxxJw9X_sbSw" },
    { JWT_ES256, "a b", "",
      "eyJ0eXAiOiAiYXQrand0IiwgImFsZyI6ICJFUzI1NiIsICJ4NXQiOiAiYWJjIn0.eyJzdWIiOiJhIGIiLCJleH"
      "AiOjIwMDAwMDAwMDAuNX0.DAHZTFVm0bbSr5Gxzt1-AeohTAtEWfxAaOJWJ_mdQVHZVimrPGirbqBv3wDWuAAD"
      "m3EJfIFMz3wZX57JDsY-QA" },
    { JWT_ES256, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "",
      "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiAieHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4e"
      "Hh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eCIsICJleHAiOiAyMDAwMDAwMDA3LCAiaWF"
      "0IjogMTcwMDAwMDAwMCwgIm5vdGUiOiAiLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uL"
      "i4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uLi4uIn0.vLq3rTDl21TK-RU"
      "sCH4HLZ4DSMQ598YRJV9q7ddXSJNfhN5_W5FzJ9wQPMSX5XMI2YR96SHN18G7xbeol1kGUA" },
    { JWT_ES256, "o'neil", "",
      "ewogImFsZyI6ICJFUzI1NiIKfQ.ewogICJzdWIiOiAibyduZWlsIiwKICAiZXhwIjogMjAwMDAwMDAwOAp9.TS"
      "KXqXPeyN6C2zt3LyeTjBASfJQRiMdr-UdGo2dbsqauH4RXy5Z-Aqkcsv54m37s_ApmMtxlZi7r3ObwZJJ9Pg" },
    { JWT_ES256, "\"quoted\\\"", "",
      "eyJhbGciOiAiRVMyNTYiLCAidHlwIjogIkpXVCJ9.eyJzdWIiOiJcInF1b3RlZFxcXCIiLCJleHAiOjIwMDAwM"
      "DAwMDAuNSwiaWF0IjoxNzAwMDAwMDAwfQ.ZeAM-n97YgMiQkxA7Mf3lDsjkGmeXEQAiKec7fTd0bXxWHkXxZys"
      "nC01ve01if3P4e0BE8Rnh94TOchyc9xdwA" },
};

#endif
