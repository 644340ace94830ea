#include "net/tls.h"

#include "base/address.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"

#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl.h>
#include <psa/crypto.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    MESSAGES_PER_READ = 64,                   /* tickets and the like           */
    FILE_MAX_BYTES = 16 << 20,
    HANDSHAKES_AT_ONCE = 100,                 /* with one origin                */
};

struct tls_trust {
    struct link        link;
    size_t             owners;
    struct str         file;
    struct stat        seen;                  /* the file, when it was read     */
    mbedtls_x509_crt   certificates;
    mbedtls_ssl_config config;
};

struct tls_memory {
    size_t              owners;
    mbedtls_ssl_session session;
    bool                is_full;
    struct gate         gate;
    uint64_t            shaken_at;            /* the last good one; 0: none yet */
};

struct tls {
    mbedtls_ssl_context ssl;
    struct tls_memory  *memory;
    struct str         *in;                   /* of the call that is running    */
    struct buf         *out;
    bool                starved;              /* it asked for bytes that are not there */
    bool                verified;             /* the peer showed a certificate  */
    union address       address;              /* that it must be for; none if we know a name */
    int                 rc;
};

static struct list trusts = { .head = { &trusts.head, &trusts.head } };
static bool        has_begun;

/* ---- trust ---------------------------------------------------------------------- */

static const char *system_file(void)
{
    static const char *const places[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine                 */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora                         */
        "/etc/ssl/cert.pem",
    };
    const char *named = getenv("SSL_CERT_FILE");
    FILE       *f;

    for (size_t i = 0; !named && i < sizeof places / sizeof *places; i++)
        if ((f = fopen(places[i], "rb"))) {
            fclose(f);
            named = places[i];
        }
    return named ? named : places[0];
}

static const char *place_of(struct str file)
{
    return file.n ? file.p : system_file();
}

/* A file that was changed is another trust, so that a reload brings new certificates. */
static bool is_as_seen(const struct tls_trust *t)
{
    struct stat now;

    return stat(place_of(t->file), &now) == 0 && now.st_ino == t->seen.st_ino &&
           now.st_size == t->seen.st_size && now.st_mtim.tv_sec == t->seen.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == t->seen.st_mtim.tv_nsec;
}

/* mbedTLS asks a directory for its size, and believes what it hears. */
static bool is_readable(const struct tls_trust *t)
{
    return S_ISREG(t->seen.st_mode) && t->seen.st_size <= FILE_MAX_BYTES;
}

/* mbedTLS returns how many certificates it could not read; of the system's store a few
 * may be of kinds it does not know, of a file that was named all must be good. */
static bool read_certificates(struct tls_trust *t, char why[TLS_WHY_MAX])
{
    const char *file = place_of(t->file);
    int         rc = MBEDTLS_ERR_X509_FILE_IO_ERROR;
    char        text[100];

    if (is_readable(t))
        rc = mbedtls_x509_crt_parse_file(&t->certificates, file);
    if (rc == 0 || (rc > 0 && !t->file.n && t->certificates.version))
        return true;
    if (rc > 0)
        snprintf(text, sizeof text, "%d of its certificates cannot be read", rc);
    else
        mbedtls_strerror(rc, text, sizeof text);
    snprintf(why, TLS_WHY_MAX, "no certificates to trust from %s: %s", file, text);
    return false;
}

static void configure(struct tls_trust *t)
{
    static const char    *protocols[] = { "http/1.1", NULL };
    static const uint16_t groups[] = {
        /* the cheapest for us first      */
        MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
        MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
        MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
    };
    mbedtls_ssl_config *c = &t->config;

    mbedtls_ssl_config_defaults(c, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM,
                                MBEDTLS_SSL_PRESET_DEFAULT);
    mbedtls_ssl_conf_min_tls_version(c, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_authmode(c, MBEDTLS_SSL_VERIFY_REQUIRED);
    mbedtls_ssl_conf_ca_chain(c, &t->certificates, NULL);
    mbedtls_ssl_conf_rng(c, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_groups(c, groups);
    mbedtls_ssl_conf_alpn_protocols(c, protocols);
    mbedtls_ssl_conf_session_tickets(c, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        c, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
}

static void trust_free(struct tls_trust *t)
{
    mbedtls_ssl_config_free(&t->config);
    mbedtls_x509_crt_free(&t->certificates);
    mem_free((char *)t->file.p);
    mem_free(t);
}

static struct tls_trust *trust_new(struct str file, char why[TLS_WHY_MAX])
{
    struct tls_trust *t = mem_new(sizeof *t);

    if (!has_begun && psa_crypto_init() != PSA_SUCCESS)
        abort();                              /* no random bytes: no service    */
    has_begun = true;
    t->owners = 1;
    t->file = (struct str){ mem_copy(file.p, file.n), file.n };
    mbedtls_x509_crt_init(&t->certificates);
    mbedtls_ssl_config_init(&t->config);
    if (stat(place_of(t->file), &t->seen) != 0)
        t->seen = (struct stat){ .st_size = 0 };
    if (!read_certificates(t, why)) {
        trust_free(t);
        return NULL;
    }
    configure(t);
    list_push(&trusts, &t->link);
    return t;
}

struct tls_trust *tls_trust_hold(struct str ca_file, char why[TLS_WHY_MAX])
{
    LIST_EACH(&trusts, k) {
        struct tls_trust *t = LIST_OWNER(k, struct tls_trust, link);

        if (str_eq(t->file, ca_file) && is_as_seen(t)) {
            t->owners++;
            return t;
        }
    }
    return trust_new(ca_file, why);
}

void tls_trust_share(struct tls_trust *t)
{
    t->owners++;
}

void tls_trust_drop(struct tls_trust *t)
{
    if (!t || --t->owners)
        return;
    list_take(&trusts, &t->link);
    trust_free(t);
}

/* ---- memory --------------------------------------------------------------------- */

struct tls_memory *tls_memory_new(void)
{
    struct tls_memory *m = mem_new(sizeof *m);

    m->owners = 1;
    gate_init(&m->gate, NULL);
    gate_configure(&m->gate, HANDSHAKES_AT_ONCE, UINT64_MAX, 0);
    mbedtls_ssl_session_init(&m->session);
    return m;
}

void tls_memory_share(struct tls_memory *m)
{
    m->owners++;
}

void tls_memory_drop(struct tls_memory *m)
{
    if (!m || --m->owners)
        return;
    assert(m->gate.held == 0 && m->gate.line.n == 0);
    mbedtls_ssl_session_free(&m->session);
    mem_free(m);
}

struct gate *tls_memory_gate(struct tls_memory *m)
{
    return &m->gate;
}

bool tls_memory_is_lively(const struct tls_memory *m, uint64_t within_ns)
{
    return m->shaken_at && clock_now() < m->shaken_at + within_ns;
}

/* The newest counts: servers forget old keys first. */
static void remember(struct tls *t)
{
    struct tls_memory *m = t->memory;

    mbedtls_ssl_session_free(&m->session);
    mbedtls_ssl_session_init(&m->session);
    m->is_full = mbedtls_ssl_get_session(&t->ssl, &m->session) == 0;
}

/* ---- the wire -------------------------------------------------------------------- */

static int take_bytes(void *ctx, unsigned char *to, size_t n)
{
    struct tls *t = ctx;
    struct str *in = t->in;

    t->starved = in->n == 0;
    if (t->starved)
        return MBEDTLS_ERR_SSL_WANT_READ;
    n = n < in->n ? n : in->n;
    memcpy(to, in->p, n);
    *in = str_from(*in, n);
    return (int)n;
}

static int give_bytes(void *ctx, const unsigned char *from, size_t n)
{
    struct buf *out = ((struct tls *)ctx)->out;

    if (!buf_reserve(out, n))
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    buf_add(out, (struct str){ (const char *)from, n });
    return (int)n;
}

/* ---- a session -------------------------------------------------------------------- */

static struct str bytes_of(const union address *a)
{
    return a->any.sa_family == AF_INET6
               ? (struct str){ (const char *)&a->v6.sin6_addr, sizeof a->v6.sin6_addr }
               : (struct str){ (const char *)&a->v4.sin_addr, sizeof a->v4.sin_addr };
}

static bool is_for(const mbedtls_x509_crt *crt, const union address *a)
{
    for (const mbedtls_x509_sequence *s = &crt->subject_alt_names; s; s = s->next)
        if ((s->buf.tag & MBEDTLS_ASN1_TAG_VALUE_MASK) == MBEDTLS_X509_SAN_IP_ADDRESS &&
            str_eq((struct str){ (const char *)s->buf.p, s->buf.len }, bytes_of(a)))
            return true;
    return false;
}

/* mbedTLS compares names; it would also say an address as if it were one (RFC 6066 forbids
 * that), so it is not told of addresses, and they are compared here. */
static int check_certificate(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct tls *t = ctx;

    t->verified = true;
    if (depth == 0 && t->address.any.sa_family && !is_for(crt, &t->address))
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    return 0;
}

struct tls *tls_new(struct tls_trust *trust, struct tls_memory *memory, struct str host)
{
    struct tls *t = mem_new(sizeof *t);
    char       *name = mem_copy(host.p, host.n);
    bool        is_address = address_read_host(host, &t->address);

    t->memory = memory;
    mbedtls_ssl_init(&t->ssl);
    t->rc = mbedtls_ssl_setup(&t->ssl, &trust->config);
    if (t->rc == 0)
        t->rc = mbedtls_ssl_set_hostname(&t->ssl, is_address ? NULL : name);
    if (t->rc == 0 && memory->is_full)
        mbedtls_ssl_set_session(&t->ssl, &memory->session);       /* refused: a full one */
    mbedtls_ssl_set_bio(&t->ssl, t, give_bytes, take_bytes, NULL);
    mbedtls_ssl_set_verify(&t->ssl, check_certificate, t);
    mem_free(name);
    return t;
}

void tls_free(struct tls *t)
{
    if (t)
        mbedtls_ssl_free(&t->ssl);
    mem_free(t);
}

static enum tls_result broken(struct tls *t, int rc)
{
    t->rc = rc;
    return TLS_BROKEN;
}

enum tls_result tls_handshake(struct tls *t, struct str *in, struct buf *out)
{
    t->in = in;
    t->out = out;
    if (t->rc != 0)
        return TLS_BROKEN;
    if (!mbedtls_ssl_is_handshake_over(&t->ssl)) {
        int rc = mbedtls_ssl_handshake_step(&t->ssl);

        if (rc == MBEDTLS_ERR_SSL_WANT_READ)
            return t->starved ? TLS_HUNGRY : TLS_WORKING;
        if (rc != 0)
            return broken(t, rc);
    }
    if (!mbedtls_ssl_is_handshake_over(&t->ssl))
        return TLS_WORKING;
    t->memory->shaken_at = clock_now();
    if (mbedtls_ssl_get_version_number(&t->ssl) == MBEDTLS_SSL_VERSION_TLS1_2)
        remember(t);                          /* 1.3 sends its tickets later    */
    return TLS_DONE;
}

bool tls_was_resumed(const struct tls *t)
{
    return !t->verified;
}

enum tls_result tls_read(struct tls *t, struct str *in, struct buf *out, char *plain, size_t room,
                         size_t *n)
{
    int rc;

    t->in = in;
    t->out = out;
    /* mbedTLS wants to be called again after each message that is its own affair. */
    for (int messages = 0; messages < MESSAGES_PER_READ; messages++) {
        t->starved = false;
        rc = mbedtls_ssl_read(&t->ssl, (unsigned char *)plain, room);
        if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET)
            remember(t);
        else if (rc != MBEDTLS_ERR_SSL_WANT_READ || t->starved)
            break;
    }
    if (rc > 0) {
        *n = (size_t)rc;
        return TLS_DONE;
    }
    if (rc == MBEDTLS_ERR_SSL_WANT_READ && t->starved)
        return TLS_HUNGRY;
    if (rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
        return TLS_CLOSED;
    return broken(t, rc);
}

bool tls_write(struct tls *t, struct str plain, struct buf *out)
{
    struct str nothing = { NULL, 0 };

    t->in = &nothing;
    t->out = out;
    while (plain.n) {
        int rc = mbedtls_ssl_write(&t->ssl, (const unsigned char *)plain.p, plain.n);

        if (rc <= 0) {
            t->rc = rc;
            return false;
        }
        plain = str_from(plain, (size_t)rc);
    }
    return true;
}

void tls_say_goodbye(struct tls *t, struct buf *out)
{
    struct str nothing = { NULL, 0 };

    t->in = &nothing;
    t->out = out;
    if (t->rc == 0)
        mbedtls_ssl_close_notify(&t->ssl);
}

/* The first reason against a certificate, or mbedTLS's words for its code. */
const char *tls_why(const struct tls *t)
{
    static char text[TLS_WHY_MAX];
    uint32_t    flags = mbedtls_ssl_get_verify_result(&t->ssl);
    char       *end;

    if (t->rc == MBEDTLS_ERR_X509_CERT_VERIFY_FAILED && flags != UINT32_MAX)
        mbedtls_x509_crt_verify_info(text, sizeof text, "", flags);
    else
        mbedtls_strerror(t->rc, text, sizeof text);
    end = strchr(text, '\n');
    if (end)
        *end = '\0';
    return text;
}

void tls_release(void)
{
    assert(trusts.n == 0);
    if (has_begun)
        mbedtls_psa_crypto_free();
    has_begun = false;
}
