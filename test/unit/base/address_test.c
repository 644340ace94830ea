#include "check.h"

#include "base/address.h"

TEST(endpoints_are_read_and_written)
{
    static const struct {
        struct str  text;
        const char *written; /* NULL: it is none               */
    } rows[] = {
        { STR_INIT("127.0.0.1:8080"), "127.0.0.1:8080" },
        { STR_INIT("0.0.0.0:0"), "0.0.0.0:0" },
        { STR_INIT("255.255.255.255:65535"), "255.255.255.255:65535" },
        { STR_INIT("[::1]:8080"), "[::1]:8080" },
        { STR_INIT("[::]:0"), "[::]:0" },
        { STR_INIT("[2001:DB8:0:0:0:0:0:1]:443"), "[2001:db8::1]:443" },
        { STR_INIT("[2001:db8:1111:2222:3333:4444:5555:6666]:65535"),
          "[2001:db8:1111:2222:3333:4444:5555:6666]:65535" },
        { STR_INIT("[::ffff:10.1.2.3]:80"), "10.1.2.3:80" },
        { STR_INIT("127.0.0.1:65536"), NULL },
        { STR_INIT("127.0.0.1:999999"), NULL },
        { STR_INIT("127.0.0.1:"), NULL },
        { STR_INIT("127.0.0.1"), NULL },
        { STR_INIT("127.0.0.1:-1"), NULL },
        { STR_INIT("127.0.0.1:8o"), NULL },
        { STR_INIT("127.0.0.1 :80"), NULL },
        { STR_INIT("127.0.0:80"), NULL },
        { STR_INIT("127.0.0.256:80"), NULL },
        { STR_INIT("[127.0.0.1]:80"), NULL },
        { STR_INIT("::1:80"), NULL },
        { STR_INIT("[::1]"), NULL },
        { STR_INIT("[::1]80"), NULL },
        { STR_INIT("[::1:80"), NULL },
        { STR_INIT("[]:80"), NULL },
        { STR_INIT("[fe80::1%lo]:80"), NULL },
        { STR_INIT(":80"), NULL },
        { STR_INIT("localhost:80"), NULL },
        { STR_INIT(""), NULL },
        { { NULL, 0 }, NULL },
        { STR_INIT("[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb]:80"), NULL },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        union address a;
        char          out[ADDRESS_TEXT_SIZE] = "";
        bool          good = address_read_endpoint(rows[i].text, &a);

        check_that(good == (rows[i].written != NULL), "row %zu", i);
        assert_int_equal(address_is_endpoint(rows[i].text), good);
        if (good)
            address_write_endpoint(&a, out);
        check_text(str_of(out), rows[i].written ? rows[i].written : "");
    }
}

TEST(hosts_are_read_and_written)
{
    static const struct {
        struct str  text;
        const char *written;
    } rows[] = {
        { STR_INIT("10.0.0.1"), "10.0.0.1" },
        { STR_INIT("::1"), "::1" },
        { STR_INIT("::FFFF:1.2.3.4"), "1.2.3.4" },
        { STR_INIT("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"),
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" },
        { STR_INIT("[::1]"), NULL },
        { STR_INIT("10.0.0.1:80"), NULL },
        { STR_INIT("unknown"), NULL },
        { STR_INIT(" 10.0.0.1"), NULL },
        { STR_INIT("10.0.0.1 "), NULL },
        { STR_INIT(""), NULL },
        { { NULL, 0 }, NULL },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        union address a;
        char          out[ADDRESS_TEXT_SIZE] = "";
        bool          good = address_read_host(rows[i].text, &a);

        check_that(good == (rows[i].written != NULL), "row %zu", i);
        if (good)
            address_write_host(&a, out);
        check_text(str_of(out), rows[i].written ? rows[i].written : "");
    }
}

TEST(nothing_may_hide_behind_a_nul)
{
    union address a;

    assert_false(address_read_host(STR("10.0.0.1\0x"), &a));
    assert_false(address_is_block(STR("10.0.0.0\0x/8")));
    assert_false(address_is_block(STR("10.0.0.0/8\0x")));
    assert_false(address_is_endpoint(STR("10.0.0.1\0x:80")));
}

TEST(blocks_are_told_from_other_texts)
{
    static const struct {
        struct str text;
        bool       good;
    } rows[] = {
        { STR_INIT("10.0.0.0/8"), true },
        { STR_INIT("10.0.0.0/0"), true },
        { STR_INIT("10.0.0.0/32"), true },
        { STR_INIT("10.0.0.1"), true },
        { STR_INIT("::1"), true },
        { STR_INIT("::/0"), true },
        { STR_INIT("2001:db8::/128"), true },
        { STR_INIT("10.0.0.0/33"), false },
        { STR_INIT("::/129"), false },
        { STR_INIT("10.0.0.0/"), false },
        { STR_INIT("10.0.0.0/-1"), false },
        { STR_INIT("10.0.0.0/8/8"), false },
        { STR_INIT("/8"), false },
        { STR_INIT("10.0.0.0/ 8"), false },
        { STR_INIT("10.0.0/8"), false },
        { STR_INIT("[::1]/128"), false },
        { STR_INIT("*"), false },
        { STR_INIT(""), false },
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        check_that(address_is_block(rows[i].text) == rows[i].good, "%s", rows[i].text.p);
}

TEST(no_text_at_all_is_no_block)
{
    union address a;

    assert_true(address_read_host(STR("0.0.0.0"), &a));
    assert_false(address_is_block((struct str){ NULL, 0 }));
    assert_false(address_in_block(&a, (struct str){ NULL, 0 }));
}

TEST(a_block_holds_its_addresses_and_no_others)
{
    static const struct {
        const char *block, *inside, *outside;
    } rows[] = {
        { "10.0.0.0/8", "10.255.255.255", "11.0.0.0" },
        { "10.1.2.3/8", "10.0.0.0", "9.255.255.255" },
        { "192.168.4.0/22", "192.168.7.255", "192.168.8.0" },
        { "192.168.4.0/23", "192.168.5.255", "192.168.6.0" },
        { "128.0.0.0/1", "255.255.255.255", "127.255.255.255" },
        { "172.16.0.0/12", "172.31.255.255", "172.32.0.0" },
        { "10.0.0.0/31", "10.0.0.1", "10.0.0.2" },
        { "10.0.0.4/32", "10.0.0.4", "10.0.0.5" },
        { "10.0.0.4", "10.0.0.4", "10.0.0.5" },
        { "0.0.0.0/0", "255.0.0.1", "::1" },
        { "::1", "::1", "::2" },
        { "::/0", "ffff::", "10.0.0.1" },
        { "fe80::/10", "febf:ffff::1", "fec0::" },
        { "2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::" },
        { "2001:db8::/127", "2001:db8::1", "2001:db8::2" },
        { "10.0.0.0/8", "::ffff:10.1.2.3", "::10.1.2.3" },
        { "::ffff:10.0.0.4", "10.0.0.4", "10.0.0.5" },
        { "::ffff:10.0.0.4", "::ffff:10.0.0.4", "::ffff:10.0.0.5" },
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        union address inside, outside;

        assert_true(address_read_host(str_of(rows[i].inside), &inside));
        assert_true(address_read_host(str_of(rows[i].outside), &outside));
        check_that(address_in_block(&inside, str_of(rows[i].block)), "row %zu: inside", i);
        check_that(!address_in_block(&outside, str_of(rows[i].block)), "row %zu: outside", i);
    }
}

/* Every prefix length, against one bit at a time. */
TEST(the_bits_of_a_prefix_count_and_no_others)
{
    static const struct {
        const char *text;
        unsigned    bits;
    } bases[] = { { "170.85.170.85", 32 }, { "aa55:aa55:aa55:aa55:aa55:aa55:aa55:aa55", 128 } };

    for (size_t k = 0; k < COUNT(bases); k++)
        for (unsigned prefix = 0; prefix <= bases[k].bits; prefix++)
            for (unsigned flipped = 0; flipped < bases[k].bits; flipped++) {
                char           block[64];
                union address  a;
                unsigned char *bytes = bases[k].bits == 32 ? (unsigned char *)&a.v4.sin_addr
                                                           : (unsigned char *)&a.v6.sin6_addr;

                snprintf(block, sizeof block, "%s/%u", bases[k].text, prefix);
                assert_true(address_read_host(str_of(bases[k].text), &a));
                bytes[flipped / 8] ^= (unsigned char)(0x80 >> flipped % 8);
                check_that(address_in_block(&a, str_of(block)) == (flipped >= prefix),
                           "%s with bit %u flipped", block, flipped);
            }
}

/* RFC 4291: the IPv4 part of ::ffff:0:0/96 is its last 32 bits. */
TEST(a_mapped_block_counts_its_bits_from_the_front_of_128)
{
    union address inside, outside;

    assert_true(address_read_host(STR("10.9.9.9"), &inside));
    assert_true(address_read_host(STR("11.0.0.0"), &outside));
    assert_true(address_is_block(STR("::ffff:10.0.0.0/104")));
    assert_true(address_in_block(&inside, STR("::ffff:10.0.0.0/104")));
    assert_false(address_in_block(&outside, STR("::ffff:10.0.0.0/104")));
    assert_true(address_in_block(&outside, STR("::ffff:0:0/96")));
}

TEST(a_text_that_is_no_block_holds_nothing)
{
    union address a;

    assert_true(address_read_host(STR("10.0.0.1"), &a));
    assert_false(address_in_block(&a, STR("10.0.0.1/x")));
    assert_false(address_in_block(&a, STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(endpoints_are_read_and_written),
        cmocka_unit_test(hosts_are_read_and_written),
        cmocka_unit_test(nothing_may_hide_behind_a_nul),
        cmocka_unit_test(blocks_are_told_from_other_texts),
        cmocka_unit_test(no_text_at_all_is_no_block),
        cmocka_unit_test(a_block_holds_its_addresses_and_no_others),
        cmocka_unit_test(the_bits_of_a_prefix_count_and_no_others),
        cmocka_unit_test(a_mapped_block_counts_its_bits_from_the_front_of_128),
        cmocka_unit_test(a_text_that_is_no_block_holds_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
