#include "check.h"

#include "base/host.h"

TEST(only_plain_spellings_are_hosts)
{
    static const struct {
        struct str host;
        bool       is_plain;
    } rows[] = {
        { STR_INIT("example.com"), true },
        { STR_INIT("EXAMPLE.com"), true },
        { STR_INIT("localhost"), true },
        { STR_INIT("api_2.my-host.internal"), true },
        { STR_INIT("xn--bcher-kva.example"), true },
        { STR_INIT("127.0.0.1.example.com"), true },
        { STR_INIT("8.8.8.8"), true },
        { STR_INIT("::1"), true },
        { STR_INIT("2001:db8::7"), true },
        { STR_INIT("::ffff:10.0.0.1"), true },
        { STR_INIT("2130706433"), false },
        { STR_INIT("0177.0.0.1"), false },
        { STR_INIT("0x7f.1"), false },
        { STR_INIT("0x7f000001"), false },
        { STR_INIT("0X7F.0.0.0x1"), false },
        { STR_INIT("127.1"), false },
        { STR_INIT("127.0.1"), false },
        { STR_INIT("127.0.0.01"), false },
        { STR_INIT("1.2.3.4.5"), false },
        { STR_INIT("256.0.0.1"), false },
        { STR_INIT("example.1"), false },
        { STR_INIT("example.0x1"), false },
        { STR_INIT("example.com."), false },
        { STR_INIT("127.0.0.1."), false },
        { STR_INIT("."), false },
        { STR_INIT(".example.com"), false },
        { STR_INIT("a..b"), false },
        { STR_INIT("-a.example"), false },
        { STR_INIT("a-.example"), false },
        { STR_INIT("b\xc3\xbc"
                   "cher.example"),
          false },
        { STR_INIT("\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa7.0.0.1"), false },
        { STR_INIT("127\xe3\x80\x82"
                   "0\xe3\x80\x82"
                   "0\xe3\x80\x82"
                   "1"),
          false },
        { STR_INIT("fe80::1%eth0"), false },
        { STR_INIT("[::1]"), false },
        { STR_INIT("a@b"), false },
        { STR_INIT("a\\b"), false },
        { STR_INIT("a b"), false },
        { STR_INIT("a\tb"), false },
        { STR_INIT("a%2eb"), false },
        { STR_INIT("{host}"), false },
        { STR_INIT("a\0b"), false },
        { STR_INIT(""), false },
        { { NULL, 0 }, false },
        { STR_INIT("a23456789012345678901234567890123456789012345678901234567890123.b"), true },
        { STR_INIT("a234567890123456789012345678901234567890123456789012345678901234.b"), false },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(host_is_plain(rows[i].host) == rows[i].is_plain, "%.*s", STR_ARG(rows[i].host));
}

TEST(names_have_an_end)
{
    char name[300];

    memset(name, 'a', sizeof name);
    for (size_t i = 50; i < sizeof name; i += 50)
        name[i] = '.';
    assert_true(host_is_plain((struct str){ name, 253 }));
    assert_false(host_is_plain((struct str){ name, 254 }));
}

TEST(authorities_are_a_host_and_a_port)
{
    static const struct {
        struct str  authority;
        const char *host; /* NULL: it is none               */
    } rows[] = {
        { STR_INIT("example.com"), "example.com" },
        { STR_INIT("example.com:1"), "example.com" },
        { STR_INIT("10.0.0.7:65535"), "10.0.0.7" },
        { STR_INIT("[::1]"), "::1" },
        { STR_INIT("[fd00::1]:8443"), "fd00::1" },
        { STR_INIT("example.com:"), NULL },
        { STR_INIT("example.com:0"), NULL },
        { STR_INIT("example.com:65536"), NULL },
        { STR_INIT("example.com:+80"), NULL },
        { STR_INIT("a:80:90"), NULL },
        { STR_INIT("user@example.com"), NULL },
        { STR_INIT("user:password@example.com"), NULL },
        { STR_INIT("example.com:80@127.0.0.1"), NULL },
        { STR_INIT("::1"), NULL },
        { STR_INIT("::1:80"), NULL },
        { STR_INIT("[::1"), NULL },
        { STR_INIT("[::1]x"), NULL },
        { STR_INIT("[::1]80"), NULL },
        { STR_INIT("[127.0.0.1]"), NULL },
        { STR_INIT("[example.com]"), NULL },
        { STR_INIT("[fe80::1%25eth0]"), NULL },
        { STR_INIT("[]"), NULL },
        { STR_INIT("["), NULL },
        { STR_INIT(":80"), NULL },
        { STR_INIT(""), NULL },
    };
    struct str host;

    for (size_t i = 0; i < COUNT(rows); i++) {
        bool good = host_of_authority(rows[i].authority, &host);

        check_that(good == (rows[i].host != NULL), "%.*s", STR_ARG(rows[i].authority));
        if (good)
            check_text(host, rows[i].host);
    }
}

static const struct {
    struct str address;
    bool       is_public;
} addresses[] = {
    { STR_INIT("1.1.1.1"), true },
    { STR_INIT("8.8.8.8"), true },
    { STR_INIT("9.255.255.255"), true },
    { STR_INIT("11.0.0.0"), true },
    { STR_INIT("100.63.255.255"), true },
    { STR_INIT("100.128.0.0"), true },
    { STR_INIT("126.255.255.255"), true },
    { STR_INIT("128.0.0.0"), true },
    { STR_INIT("169.253.255.255"), true },
    { STR_INIT("169.255.0.0"), true },
    { STR_INIT("172.15.255.255"), true },
    { STR_INIT("172.32.0.0"), true },
    { STR_INIT("192.0.1.0"), true },
    { STR_INIT("192.167.255.255"), true },
    { STR_INIT("192.169.0.0"), true },
    { STR_INIT("198.17.255.255"), true },
    { STR_INIT("198.20.0.0"), true },
    { STR_INIT("223.255.255.255"), true },
    { STR_INIT("2606:4700:4700::1111"), true },
    { STR_INIT("2001:200::1"), true },
    { STR_INIT("2a00::1"), true },
    { STR_INIT("64:ff9b::8.8.8.8"), true },
    { STR_INIT("0.0.0.0"), false },
    { STR_INIT("0.1.2.3"), false },
    { STR_INIT("10.0.0.0"), false },
    { STR_INIT("10.255.255.255"), false },
    { STR_INIT("100.64.0.0"), false },
    { STR_INIT("100.100.100.200"), false },
    { STR_INIT("100.127.255.255"), false },
    { STR_INIT("127.0.0.1"), false },
    { STR_INIT("127.255.255.254"), false },
    { STR_INIT("169.254.0.1"), false },
    { STR_INIT("169.254.169.254"), false },
    { STR_INIT("172.16.0.1"), false },
    { STR_INIT("172.31.255.255"), false },
    { STR_INIT("192.0.0.192"), false },
    { STR_INIT("192.0.2.1"), false },
    { STR_INIT("192.88.99.1"), false },
    { STR_INIT("192.168.0.1"), false },
    { STR_INIT("192.168.255.255"), false },
    { STR_INIT("198.18.0.1"), false },
    { STR_INIT("198.19.255.255"), false },
    { STR_INIT("198.51.100.7"), false },
    { STR_INIT("203.0.113.7"), false },
    { STR_INIT("224.0.0.1"), false },
    { STR_INIT("239.255.255.250"), false },
    { STR_INIT("240.0.0.1"), false },
    { STR_INIT("255.255.255.255"), false },
    { STR_INIT("::"), false },
    { STR_INIT("::1"), false },
    { STR_INIT("::7f00:1"), false },
    { STR_INIT("::8.8.8.8"), false },
    { STR_INIT("::ffff:127.0.0.1"), false },
    { STR_INIT("::ffff:169.254.169.254"), false },
    { STR_INIT("::ffff:8.8.8.8"), false },
    { STR_INIT("::ffff:0:8.8.8.8"), false },
    { STR_INIT("64:ff9b::127.0.0.1"), false },
    { STR_INIT("64:ff9b::10.1.2.3"), false },
    { STR_INIT("64:ff9b::169.254.169.254"), false },
    { STR_INIT("64:ff9b:1::8.8.8.8"), false },
    { STR_INIT("64:ff9b:0:0:0:1:808:808"), false },
    { STR_INIT("100::1"), false },
    { STR_INIT("2001::1"), false },
    { STR_INIT("2001:0:4136:e378:8000:63bf:3fff:fdd2"), false },
    { STR_INIT("2001:2::1"), false },
    { STR_INIT("2001:db8::1"), false },
    { STR_INIT("2002:7f00:1::"), false },
    { STR_INIT("2002:808:808::1"), false },
    { STR_INIT("3fff::1"), false },
    { STR_INIT("4000::1"), false },
    { STR_INIT("5f00::1"), false },
    { STR_INIT("fc00::1"), false },
    { STR_INIT("fd00:ec2::254"), false },
    { STR_INIT("fe80::1"), false },
    { STR_INIT("fec0::1"), false },
    { STR_INIT("ff02::1"), false },
};

TEST(what_is_not_everybodys_is_not_public)
{
    union address a;

    for (size_t i = 0; i < COUNT(addresses); i++) {
        assert_true(address_read_host(addresses[i].address, &a));
        check_that(host_is_public(&a) == addresses[i].is_public, "%.*s",
                   STR_ARG(addresses[i].address));
    }
    memset(&a, 0, sizeof a);
    assert_false(host_is_public(&a));         /* of no family that we know      */
}

TEST(who_may_is_written_exactly)
{
    struct str items[] = { STR_INIT("tools.internal"), STR_INIT("10.0.0.7"), STR_INIT("[fd00::1]"),
                           STR_INIT("fd00::2") };
    struct conf_texts list = { items, COUNT(items) };

    assert_true(host_is_among(STR("tools.internal"), &list));
    assert_true(host_is_among(STR("Tools.Internal"), &list));
    assert_true(host_is_among(STR("10.0.0.7"), &list));
    assert_true(host_is_among(STR("fd00::1"), &list));
    assert_true(host_is_among(STR("[fd00::2]"), &list));
    assert_false(host_is_among(STR("a.tools.internal"), &list));
    assert_false(host_is_among(STR("internal"), &list));
    assert_false(host_is_among(STR("10.0.0.70"), &list));
    assert_false(host_is_among(STR("fd00::3"), &list));
    assert_false(host_is_among(STR(""), &list));
    assert_false(host_is_among(STR("10.0.0.7"), &(struct conf_texts){ NULL, 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_plain_spellings_are_hosts),
        cmocka_unit_test(names_have_an_end),
        cmocka_unit_test(authorities_are_a_host_and_a_port),
        cmocka_unit_test(what_is_not_everybodys_is_not_public),
        cmocka_unit_test(who_may_is_written_exactly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
